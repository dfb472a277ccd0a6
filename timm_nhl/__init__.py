"""Networks whose high-level features are nested along a class hierarchy, as a plugin for timm."""
