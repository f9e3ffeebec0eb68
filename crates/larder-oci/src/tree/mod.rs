//! The tree of an image: its layers put together, as a container sees it.
