"""The nest: the one long-lived process that owns a user's pets.

It is a fork server, so it stays small, has one thread, and imports nothing but the standard
library: safe and cheap to fork. Any client may crash and no pet notices; the nest itself may be
killed and started again, and adopts every pet that lives.
"""
