//! Boards, lives and ends of tasks.
