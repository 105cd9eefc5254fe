//! The integration tests, in one binary: linking DataFusion once is enough.
//!
//! `house`, `imports` and `docker` look at the source tree itself; the others drive the library
//! and the binary. [`servers`] says where Kafka, S3 and the readers are.

mod rust_source;
mod servers;

mod docker;
mod house;
mod imports;
