//! What operators see of the house: logs and metrics. Not the audit: a log may be lost, the audit may not.

pub mod logs;
mod metrics;

pub use metrics::Metrics;
