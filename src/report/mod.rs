//! A lake → `report.html`: figures and charts in one file that asks nothing of anyone.
//!
//! In come the answers of a lake (`lake::read`); out comes the page. Nothing is kept, and but for
//! asking everything is pure: the same answers give the same page.
//!
//! `question` is what is asked in SQL, `ask` asks it, `reading` makes the answers `figures`, `html`
//! draws the page with `charts`, which are made of `svg`; `words` says numbers and instants.

pub mod ask;
pub mod books;
pub mod charts;
pub mod figures;
pub mod html;
pub mod question;
pub mod reading;
pub mod svg;
pub mod words;
