//! The findings about routes, in words.

use super::analysis::{Findings, Pair, Passed, RouteFacts, analyse};
use crate::diagnostic::{Code, Diagnostic, Diagnostics};

/// Checks all routes of a program against one another.
pub fn check(routes: &[RouteFacts], diagnostics: &mut Diagnostics) {
    let Findings { same, unreachable, scattered, weaker } = analyse(routes);
    let name = |at: usize| &routes[at].name;
    for (at, Pair { first, witness }) in same {
        diagnostics.push(
            Diagnostic::new(
                Code::E0520,
                routes[at].span,
                format!("nothing tells `{}` and `{}` apart", name(first), name(at)),
            )
            .label(format!("answers `{witness}`, too"))
            .also(routes[first].span, format!("answers `{witness}`"))
            .help("give one of them another pattern, another method or a `when`, or delete it"),
        );
    }
    for (at, Pair { first, witness }) in unreachable {
        diagnostics.push(
            Diagnostic::new(Code::E0521, routes[at].span, format!("`{}` can never be reached", name(at)))
                .label(format!("never gets a request, not even `{witness}`"))
                .also(routes[first].span, format!("`{witness}` goes here"))
                .help(format!("delete it, or make `{}` narrower", name(first))),
        );
    }
    for (at, Pair { first, witness }) in scattered {
        diagnostics.push(
            Diagnostic::new(
                Code::E0522,
                routes[at].span,
                format!("`{}` and `{}` differ only in `when` and stand in different blocks", name(first), name(at)),
            )
            .label(format!("asked for `{witness}`, too"))
            .also(routes[first].span, format!("asked for `{witness}`"))
            .help("move them into one block: the order there is the order in which their `when`s are asked"),
        );
    }
    for (at, (Pair { first, witness }, why)) in weaker {
        let (strong, weak) = (&routes[first], &routes[at]);
        let passed = match why {
            Passed::Type => "its types do not fit",
            Passed::Method => "it does not serve the method",
            Passed::When => "its `when` does not hold",
        };
        let anonymous = weak.anonymous && !strong.anonymous;
        let (message, help) = if anonymous {
            (
                format!("requests that `{}` passes over reach `{}` without authentication", strong.name, weak.name),
                format!(
                    "give `{}` the `auth` of `{}`, or, if everyone may use it, write `auth none` in its own block",
                    weak.name, strong.name
                ),
            )
        } else {
            (
                format!(
                    "requests that `{}` passes over reach `{}`, which lacks a `require` of it",
                    strong.name, weak.name
                ),
                format!(
                    "put the `require` where it holds for both, or write `auth none` in the block of `{}` if everyone may use it",
                    weak.name
                ),
            )
        };
        let mut diagnostic = Diagnostic::new(Code::E0523, weak.span, message)
            .label(format!("answers `{witness}`"))
            .also(strong.span, format!("passed over for `{witness}`: {passed}"));
        if !anonymous && let Some(missing) = strong.requires.iter().find(|r| !weak.requires.contains(r)) {
            diagnostic = diagnostic.also(missing.span, format!("does not hold for `{}`", weak.name));
        }
        diagnostics.push(diagnostic.help(help));
    }
}
