"""The families of losses, named after what their formula sees, one file each. A loss is one formula in one of them."""
