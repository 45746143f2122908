//! A fleet whose store is lost, found, moved and measured.

mod asked;
mod figures;
mod load;
mod lost;
mod moved;
