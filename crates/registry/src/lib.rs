//! The registry: names, leases, watch
