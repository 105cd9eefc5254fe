//! Every metric's name, unit and labels.
