//! `match`: every case is said, and said once.

use super::fit::{settled_type, united};
use super::operators::comparable;
use super::{Checker, Typed};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::Expr;
use crate::model::ir::Ir;
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;

impl Checker<'_> {
    pub(super) fn matching(
        &mut self,
        subject: &Expr,
        arms: &[(Expr, Expr)],
        otherwise: Option<&Expr>,
        expected: Option<&Type>,
        span: Span,
    ) -> Typed {
        let subject = self.infer(subject, None);
        let patterns = self.patterns(&subject, arms);
        let mut results: Vec<Typed> = arms.iter().map(|(_, result)| self.fitted(result, expected)).collect();
        let with_else = otherwise.map(|e| self.fitted(e, expected));
        let Some(patterns) = patterns else { return Typed::error(span) };
        if subject.is_error() || !self.exhaustive(&subject, &patterns, otherwise.is_some(), span) {
            return Typed::error(span);
        }
        let count = results.len();
        results.extend(with_else);
        let Some(ty) = self.one_type(&results, expected) else { return Typed::error(span) };
        results.push(subject);
        self.finish_all(ty, span, results, |mut parts| {
            let subject = parts.pop().unwrap_or(Ir::Const(Value::Null));
            let otherwise = parts.drain(count..).next().map(Box::new);
            Ir::Match(Box::new(subject), patterns.into_iter().zip(parts).collect(), otherwise)
        })
    }

    /// The values of the patterns; none where one is wrong.
    fn patterns(&mut self, subject: &Typed, arms: &[(Expr, Expr)]) -> Option<Vec<Value<'static>>> {
        let want = settled_type(&subject.ty).clone();
        let mut found: Vec<(Value<'static>, Span)> = Vec::with_capacity(arms.len());
        let mut good = true;
        for (pattern, _) in arms {
            let mut typed = self.infer(pattern, Some(&want));
            if typed.constant.is_some() && !typed.constant.as_ref().is_some_and(Value::is_null) && convertible(&want) {
                typed = self.fit(typed, &want, pattern);
            }
            let Some(value) = typed.constant.clone() else {
                if !typed.is_error() {
                    self.report(
                        Diagnostic::new(Code::E0407, typed.span, "an arm begins with a constant")
                            .help("what depends on the request is said with `and`, `or` and `??`"),
                    );
                }
                good = false;
                continue;
            };
            if !comparable(&typed.ty, &subject.ty) {
                self.report(
                    Diagnostic::new(
                        Code::E0404,
                        typed.span,
                        format!("this arm is never chosen: the subject is `{}`", subject.ty),
                    )
                    .label(format!("this is `{}`", typed.ty))
                    .also(subject.span, "the subject"),
                );
                good = false;
                continue;
            }
            if let Some((_, first)) = found.iter().find(|(v, _)| v.equals(&value)) {
                self.report(
                    Diagnostic::new(Code::E0407, typed.span, "this arm is there twice").also(*first, "the first one"),
                );
                good = false;
            }
            found.push((value, typed.span));
        }
        good.then(|| found.into_iter().map(|(v, _)| v).collect())
    }

    /// Every value of the subject has an arm, or there is an `else`.
    fn exhaustive(&mut self, subject: &Typed, patterns: &[Value<'static>], has_else: bool, span: Span) -> bool {
        if has_else {
            return true;
        }
        let has = |value: &Value<'_>| patterns.iter().any(|p| p.equals(value));
        let mut missing: Vec<String> = match settled_type(&subject.ty) {
            Type::Union(words) => words.iter().filter(|w| !has(&Value::str(w))).map(|w| format!("\"{w}\"")).collect(),
            Type::Bool => [true, false].iter().filter(|b| !has(&Value::Bool(**b))).map(bool::to_string).collect(),
            _ => vec!["else".to_owned()],
        };
        let open = missing == ["else"];
        if matches!(subject.ty, Type::Optional(_)) && !open && !has(&Value::Null) {
            missing.push("null".to_owned());
        }
        if missing.is_empty() {
            return true;
        }
        let arms = missing.iter().map(|m| format!("`{m}: …`")).collect::<Vec<_>>().join(", ");
        let message = match open {
            true => format!("a `match` over `{}` needs an `else`", subject.ty),
            false => format!("this `match` says nothing for {}", missing.join(", ")),
        };
        self.report(
            Diagnostic::new(Code::E0407, span, message)
                .also(subject.span, format!("this is `{}`", subject.ty))
                .help(format!("add {arms}")),
        );
        false
    }

    /// The type of the results.
    fn one_type(&mut self, results: &[Typed], expected: Option<&Type>) -> Option<Type> {
        let mut found: Option<(Type, Span)> = None;
        for result in results.iter().filter(|r| !r.is_error()) {
            let ty = match &found {
                None => result.ty.clone(),
                Some((before, first)) => match united(before, &result.ty) {
                    Some(ty) => ty,
                    None if matches!(expected, Some(Type::Json)) || self.mixed => Type::Json,
                    None => {
                        self.report(
                            Diagnostic::new(Code::E0404, result.span, "the arms of a `match` have one type")
                                .label(format!("this is `{}`", result.ty))
                                .also(*first, format!("this is `{before}`")),
                        );
                        return None;
                    }
                },
            };
            found = Some((ty, found.map_or(result.span, |(_, s)| s)));
        }
        Some(found.map_or(Type::Error, |(ty, _)| ty))
    }
}

/// Constants are read as values of this type: members of unions, statuses, names.
fn convertible(ty: &Type) -> bool {
    matches!(ty, Type::Union(_) | Type::Status | Type::Float | Type::Uuid)
}
