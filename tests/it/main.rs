//! The integration tests, in one binary: linking DataFusion once is enough.
//!
//! `house`, `imports`, `docker`, `documents` and `readme` look at the repository itself; the others drive the
//! library and the binary. `servers` says where Kafka, S3 and the readers are.

mod binary;
mod rust_source;
mod served;
mod servers;

mod docker;
mod documents;
mod house;
mod imports;
mod readme;
mod refusals;

mod access;
mod acknowledge;
mod again;
mod alert_rules;
mod api;
mod bad_input;
mod books;
mod calendars;
mod catcher;
mod centers;
mod clocks;
mod clocks_kafka;
mod corpus;
mod critical;
mod explanations;
mod faulty;
mod fingerprints;
mod kafka_to_s3;
mod laboratory;
mod late_tests;
mod listeners;
mod machines;
mod mistakes;
mod oracle;
mod outage;
mod own_project;
mod own_sql;
mod proxied;
mod readers;
mod report;
mod scattered;
mod sections;
mod sessions;
mod settling;
mod silence;
mod specimens;
mod standing;
mod stop;
mod stream;
mod takeover;
mod timelines;
mod working_time;
