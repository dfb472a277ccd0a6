"""What a device gets, measured: bundles next to their model, and how well images of other classes are rejected."""
