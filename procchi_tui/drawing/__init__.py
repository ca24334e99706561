"""From what is known of a pet to the characters on the screen: pure functions, no widgets."""
