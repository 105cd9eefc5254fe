//! Who may ask a lake, and what they may see: tokens, tenants, roles, and the table of what was done.
//!
//! A token belongs to a tenant, and a tenant to laboratories; a token has a role, and may be narrowed to
//! some of its tenant's laboratories. The lake keeps the hash of a token, never the token. What is kept
//! never changes: a token ends by an entry beside it, a tenant changes by its next revision.
//!
//! Read `record` first, what is kept; then `book`, which decides purely whether a token is taken, and
//! `desk`, the edge that reads and writes the lake. `secret` is the text that a person is shown, `role`
//! what a role may see, `audit` the rows of `audit`, `uses` when tokens were used last, `budget` how often
//! each may ask.

pub mod acknowledge;
pub mod audit;
pub mod book;
pub mod budget;
pub mod desk;
pub mod record;
pub mod role;
pub mod secret;
pub mod uses;
