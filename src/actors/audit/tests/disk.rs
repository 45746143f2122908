//! The disk fails, the writer dies: nobody is told ok without a record, nothing is written twice.
