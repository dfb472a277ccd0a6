"""The full screen of a review, by textual: the main screen, the screens that open over it, and the tree."""
