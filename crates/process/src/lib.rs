//! What every Backfence program does alike: logs, shutdown, serving, discovery
