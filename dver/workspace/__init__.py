"""The data files in the working tree: what is known of them, scanning them, and writing them."""
