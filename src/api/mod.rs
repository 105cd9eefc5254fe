//! A lake → an HTTP API that software builds on: live, read-only, over any lake.
//!
//! A request becomes a `question`, which names the tables and days that decide its answer; the question
//! becomes SQL (`ask`, `page`), the lake answers in Arrow (`reading`), and the answer is written in the
//! form that was asked for (`form`, `body`). All reading goes through `reading`, which knows what the
//! caller may see and what one answer may take. Nothing is kept but the last listing (`follow`).
//!
//! Read `question` first, then `routes`, the thin edge; `rows`, `metrics`, `tables` and `status` are the
//! questions. `problem` is what a caller gets who did something wrong, `openapi` what the API says of
//! itself (`told` makes it from the types), `server` the limits of connections.

pub mod ask;
pub mod body;
pub mod cursor;
pub mod etag;
pub mod follow;
pub mod form;
pub mod known;
pub mod metrics;
pub mod openapi;
pub mod page;
pub mod parameters;
pub mod problem;
pub mod question;
pub mod reading;
pub mod routes;
pub mod rows;
pub mod server;
pub mod span;
pub mod status;
pub mod tables;
pub mod told;
