//! The registry of codes. A code is never reused, not even after it is gone.
//!
//! A row is a code, its severity and its title; its page is `docs/src/errors/CODE.md`.

use super::Severity;

macro_rules! codes {
    ($($code:ident $severity:ident $title:literal)*) => {
        /// A diagnostic code.
        #[allow(missing_docs)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Code { $($code),* }

        impl Code {
            /// Every code there is, in order.
            pub const ALL: &'static [Code] = &[$(Code::$code),*];

            /// `E0312`.
            pub fn name(self) -> &'static str {
                match self { $(Code::$code => stringify!($code)),* }
            }

            /// Its severity.
            pub fn severity(self) -> Severity {
                match self { $(Code::$code => Severity::$severity),* }
            }

            /// Its title: the mistake in general.
            pub fn title(self) -> &'static str {
                match self { $(Code::$code => $title),* }
            }
        }
    };
}

codes! {
    // E01: syntax (syntax/)
    E0101 Error "a string is not closed"
    E0102 Error "a brace is not closed"
    E0103 Error "a closing brace closes nothing"
    E0104 Error "characters that mean nothing here"
    E0105 Error "nesting deeper than 32"
    E0106 Error "a bracket is not closed"
    E0107 Error "an escape that does not exist"
    E0108 Error "the file is not UTF-8"
    // E02: declarations, statements, imports, inputs (model/)
    // E03: names (check/)
    // E04: types and expressions (model/expr, model/types)
    // E05: routes (check/routes)
    // E06: policies and phases (check/)
    // E07: upstreams, timeouts, retries (check/)
    // E08: authentication (check/)
    // E09: invariants, and what is not supported yet
    // W…: warnings, in the same hundreds
}

impl std::fmt::Display for Code {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
