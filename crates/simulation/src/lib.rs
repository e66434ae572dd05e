//! Whole clusters of the protocol core, message by message, from one seed
