//! Controller
pub mod images;
