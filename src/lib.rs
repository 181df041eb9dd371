//! What the `weir` binary and its whole-system tests share beyond the roles: the make-believe stack of `weir --demo`.

pub mod demo;
