//! What fires → events that are sent as they come (server-sent events).
//!
//! One task (`hub`) lists what fired while anyone listens, and gives each listener the rows that it may
//! see and wants, object by object. Nothing is queued for a listener beyond a few chunks: what it has not
//! read stays on the lake. One that reads nothing for a while is cut off, and nobody waits for it.
//!
//! Objects have an order: by when they were put, then by a hash of their names. A place in it
//! (`place`) is an event's id, so that a listener who comes back goes on where it was, on any server.
//! `fired` is a listing in that order, `wanted` what a listener wants, `frames` how rows are written,
//! `listener` the side of the connection, `route` the route.

pub mod fired;
pub mod frames;
pub mod hub;
pub mod listener;
pub mod place;
pub mod route;
pub mod wanted;
