//! What operators see of the house: logs and metrics. Not the audit: a log may be lost, the audit may not.

mod failures;
pub mod logs;
mod metrics;
mod striped;

pub use failures::StoreFailures;
pub use metrics::Metrics;
