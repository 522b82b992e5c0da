//! The WebAssembly module that pages load: the library with its exports, and nothing of its own.

#![no_main]

use jhe_connect as _;
