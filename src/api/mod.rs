//! A lake → an HTTP API that software builds on: live, read-only, over any lake.
//!
//! A request becomes a `question`, which names the tables and days that decide its answer; the question
//! becomes SQL (`ask`, `page`), the lake answers in Arrow (`reading`), and the answer is written in the
//! form that was asked for (`form`, `body`). All reading goes through `reading`, which knows what the
//! caller may see and what one answer may take. Nothing is kept but the last listing (`follow`).
//!
//! Read `question` first, then `routes`, the thin edge; `rows`, `metrics`, `tables`, `status`,
//! `specimens` and `open_tests` are the questions. `problem` is what a caller gets who did something wrong, `openapi` what the API says of
//! itself (`told` makes it from the types), `server` the limits of connections (`tls`, `patient`). `door`
//! tells who asks and so what they may see, `login` is where people sign in. `stream` sends what fires as it comes.

pub mod acknowledge;
pub mod alerts;
pub mod ask;
pub mod body;
pub mod cors;
pub mod cursor;
pub mod door;
pub mod etag;
pub mod follow;
pub mod form;
pub mod kept;
pub mod known;
pub mod login;
pub mod metrics;
pub mod open_tests;
pub mod openapi;
pub mod page;
pub mod parameters;
pub mod patient;
pub mod problem;
pub mod query;
pub mod question;
pub mod reading;
pub mod routes;
pub mod rows;
pub mod server;
pub mod span;
pub mod specimens;
pub mod status;
pub mod stream;
pub mod tables;
pub mod tls;
pub mod told;
