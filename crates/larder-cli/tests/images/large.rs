//! A large layer, and what a small file of it costs.
