"""What a terminal sends for a key: xterm's "Control Sequences", the tables of PC-style keys."""

from __future__ import annotations

_LETTERS = {"up": "A", "down": "B", "right": "C", "left": "D", "home": "H", "end": "F"}
_NUMBERS = {
    "insert": 2, "delete": 3, "pageup": 5, "pagedown": 6,
    "f5": 15, "f6": 17, "f7": 18, "f8": 19, "f9": 20, "f10": 21, "f11": 23, "f12": 24,
}  # fmt: skip
_SS3 = {"f1": "P", "f2": "Q", "f3": "R", "f4": "S"}
_PLAIN = {
    "enter": "\r", "tab": "\t", "backspace": "\x7f", "escape": "\x1b", "space": " ",
    "shift+tab": "\x1b[Z", "ctrl+backspace": "\x08", "ctrl+@": "\x00", "ctrl+space": "\x00",
    "ctrl+backslash": "\x1c", "ctrl+right_square_bracket": "\x1d",
    "ctrl+circumflex_accent": "\x1e", "ctrl+underscore": "\x1f",
}  # fmt: skip
_MODIFIERS = {"shift": 1, "alt": 2, "ctrl": 4}


def keystroke(key: str, character: str | None, *, application_cursor: bool = False) -> bytes:
    """The bytes for Textual's `key`; none for a key that no program could know."""
    if key in _PLAIN:
        return _PLAIN[key].encode()
    *modifiers, name = key.split("+") if key != "+" else ["+"]
    held = sum(_MODIFIERS.get(modifier, 0) for modifier in modifiers)
    if name in _LETTERS:
        if held:
            return f"\x1b[1;{1 + held}{_LETTERS[name]}".encode()
        return f"\x1b{'O' if application_cursor else '['}{_LETTERS[name]}".encode()
    if name in _NUMBERS:
        return f"\x1b[{_NUMBERS[name]}{f';{1 + held}' if held else ''}~".encode()
    if name in _SS3:
        return (f"\x1b[1;{1 + held}" if held else "\x1bO").encode() + _SS3[name].encode()
    escape = b"\x1b" if held & _MODIFIERS["alt"] else b""
    if held & _MODIFIERS["ctrl"] and len(name) == 1 and name.isascii() and name.isalpha():
        return escape + bytes([ord(name) & 0x1F])
    if character:
        return escape + character.encode("utf-8", "replace")
    if name in _PLAIN:
        return escape + _PLAIN[name].encode()
    return escape + name.encode() if escape and len(name) == 1 else b""
