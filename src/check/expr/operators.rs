//! Operators: which types each takes and what it gives.

use super::fit::{fits, settled_type, united};
use super::names::from_table;
use super::{Checker, Typed, guard, shown};
use crate::diagnostic::{Code, Diagnostic};
use crate::model::ast::{BinaryOp, Expr, ExprKind};
use crate::model::ir::{Comparison, Ir};
use crate::model::types::Type;
use crate::model::value::Value;
use crate::source::Span;
use smol_str::SmolStr;

impl Checker<'_> {
    pub(super) fn binary(
        &mut self,
        op: BinaryOp,
        op_span: Span,
        a: &Expr,
        b: &Expr,
        expected: Option<&Type>,
        span: Span,
    ) -> Typed {
        match op {
            BinaryOp::And | BinaryOp::Or => self.both(op, a, b, span),
            BinaryOp::Equal => self.equal(Comparison::Equal, op_span, a, b, span),
            BinaryOp::NotEqual => self.equal(Comparison::NotEqual, op_span, a, b, span),
            BinaryOp::Less => self.ordered(Comparison::Less, op_span, a, b, span),
            BinaryOp::LessEqual => self.ordered(Comparison::LessEqual, op_span, a, b, span),
            BinaryOp::Greater => self.ordered(Comparison::Greater, op_span, a, b, span),
            BinaryOp::GreaterEqual => self.ordered(Comparison::GreaterEqual, op_span, a, b, span),
            BinaryOp::In => self.member(op_span, a, b, false, span),
            BinaryOp::NotIn => self.member(op_span, a, b, true, span),
            BinaryOp::Has => self.member(op_span, b, a, false, span),
            BinaryOp::HasAny | BinaryOp::HasAll => self.has_several(op == BinaryOp::HasAll, op_span, a, b, span),
            BinaryOp::Matches => self.matches(op_span, a, b, span),
            BinaryOp::StartsWith | BinaryOp::EndsWith => {
                let (a, b) = (self.textual(a, op_span), self.textual(b, op_span));
                self.finish(Type::Bool, span, [a, b], |[a, b]| match op {
                    BinaryOp::StartsWith => Ir::StartsWith(Box::new(a), Box::new(b)),
                    _ => Ir::EndsWith(Box::new(a), Box::new(b)),
                })
            }
            BinaryOp::Coalesce => self.coalesce(op_span, a, b, expected, span),
            BinaryOp::Add | BinaryOp::Subtract => self.arithmetic(op, op_span, a, b, span),
        }
    }

    /// `and`, `or`: the right side knows what the left one has settled.
    fn both(&mut self, op: BinaryOp, a: &Expr, b: &Expr, span: Span) -> Typed {
        let left = self.fitted(a, Some(&Type::Bool));
        let before = self.settled.len();
        self.settled.extend(guard::where_it_is(a, op == BinaryOp::And));
        let right = self.fitted(b, Some(&Type::Bool));
        self.settled.truncate(before);
        self.finish(Type::Bool, span, [left, right], |[a, b]| match op {
            BinaryOp::And => Ir::And(Box::new(a), Box::new(b)),
            _ => Ir::Or(Box::new(a), Box::new(b)),
        })
    }

    /// Both sides of a comparison; the type of one helps to read the other (names, statuses, members of unions).
    fn sides(&mut self, a: &Expr, b: &Expr) -> (Typed, Typed) {
        if self.is_only_a_name(a) && !self.is_only_a_name(b) {
            let right = self.infer(b, None);
            let left = self.infer(a, Some(&right.ty));
            return self.converted_sides(left, a, right, b);
        }
        let left = self.infer(a, None);
        let right = self.infer(b, Some(&left.ty));
        self.converted_sides(left, a, right, b)
    }

    /// Constants take the type of the other side where they can be read so.
    fn converted_sides(&mut self, left: Typed, a: &Expr, right: Typed, b: &Expr) -> (Typed, Typed) {
        let readable = |constant: &Typed, other: &Typed| {
            constant.constant.is_some()
                && matches!(
                    (&constant.ty, settled_type(&other.ty)),
                    (Type::Int, Type::Status | Type::Float) | (Type::String | Type::Url, Type::Union(_) | Type::Uuid)
                )
        };
        if readable(&right, &left) {
            let want = settled_type(&left.ty).clone();
            let right = self.fit(right, &want, b);
            return (left, right);
        }
        if readable(&left, &right) {
            let want = settled_type(&right.ty).clone();
            let left = self.fit(left, &want, a);
            return (left, right);
        }
        (left, right)
    }

    fn equal(&mut self, how: Comparison, op_span: Span, a: &Expr, b: &Expr, span: Span) -> Typed {
        let (left, right) = self.sides(a, b);
        if !comparable(&left.ty, &right.ty) {
            return self.unlike(&left, a, &right, b, op_span);
        }
        self.finish(Type::Bool, span, [left, right], |[a, b]| Ir::Compare(how, Box::new(a), Box::new(b)))
    }

    /// Two types that are never equal.
    fn unlike(&mut self, left: &Typed, a: &Expr, right: &Typed, b: &Expr, op_span: Span) -> Typed {
        let help = match (settled_type(&left.ty), settled_type(&right.ty)) {
            (Type::Name(_), Type::String) => {
                right.constant.as_ref().and_then(Value::as_str).map(|n| format!("names stand without quotes: `{n}`"))
            }
            (Type::String, Type::Int | Type::Float | Type::Bool) if right.constant.is_some() => {
                Some(format!("text stands in quotes: \"{}\"", shown::short(b)))
            }
            (Type::String, other) if is_scalar(other) => Some(format!("compare texts: `text({})`", shown::short(b))),
            (other, Type::String) if is_scalar(other) => Some(format!("compare texts: `text({})`", shown::short(a))),
            (Type::List(element), Type::Name(_)) if matches!(**element, Type::Name(_)) => {
                let (list, name) = (shown::short(a), shown::short(b));
                let first =
                    if matches!(left.ty, Type::Optional(_)) { format!("{list} != null and ") } else { String::new() };
                Some(format!("it is a list: `{first}{list} has {name}`, or `{list} == [{name}]` for it alone"))
            }
            (Type::List(_), _) => {
                Some(format!("ask whether it is in the list: `{} has {}`", shown::short(a), shown::short(b)))
            }
            (Type::Ip, Type::Cidr) => {
                Some(format!("ask whether it is in the network: `{} in {}`", shown::short(a), shown::short(b)))
            }
            _ => None,
        };
        self.report(
            Diagnostic::new(
                Code::E0404,
                op_span,
                format!("{} and {} are never equal", shown::a(&left.ty), shown::a(&right.ty)),
            )
            .also(left.span, format!("this is `{}`", left.ty))
            .also(right.span, format!("this is `{}`", right.ty))
            .maybe_help(help),
        )
    }

    fn ordered(&mut self, how: Comparison, op_span: Span, a: &Expr, b: &Expr, span: Span) -> Typed {
        let (left, right) = self.sides(a, b);
        for (side, e) in [(&left, a), (&right, b)] {
            if matches!(side.ty, Type::Optional(_)) {
                return self.unsettled(e, &side.ty.clone(), "what is compared by order");
            }
        }
        if !have_order(&left.ty, &right.ty) {
            return self.report(
                Diagnostic::new(Code::E0416, op_span, format!("{} and {} have no order", shown::a(&left.ty), shown::a(&right.ty)))
                    .also(left.span, format!("this is `{}`", left.ty))
                    .also(right.span, format!("this is `{}`", right.ty))
                    .help("numbers, statuses, percentages, durations, sizes, dates, times and texts have one, each among themselves"),
            );
        }
        self.finish(Type::Bool, span, [left, right], |[a, b]| Ir::Compare(how, Box::new(a), Box::new(b)))
    }

    /// `element in whole`.
    fn member(&mut self, op_span: Span, element: &Expr, whole: &Expr, negated: bool, span: Span) -> Typed {
        let not = |ir: Ir| if negated { Ir::Not(Box::new(ir)) } else { ir };
        if let Some((id, ty)) = self.table(whole) {
            let inner = match &ty {
                Type::List(inner) | Type::Map(inner) if matches!(ty, Type::List(_)) => inner.as_ref().clone(),
                _ => Type::String,
            };
            let typed = self.infer(element, Some(&inner));
            let typed = self.readable_as(typed, &inner, element);
            if !comparable(&typed.ty, &inner) {
                return self.no_member(&typed, &ty, op_span, element, whole);
            }
            return from_table(Type::Bool, span, typed, |v| not(Ir::InTable(Box::new(v), id)));
        }
        let (element_typed, whole_typed) = match self.is_only_a_name(element) {
            true => {
                let whole_typed = self.infer(whole, None);
                let want = element_type(settled_type(&whole_typed.ty));
                (self.infer(element, want.as_ref()), whole_typed)
            }
            false => {
                let element_typed = self.infer(element, None);
                let helps = matches!(
                    settled_type(&element_typed.ty),
                    Type::Union(_) | Type::Name(_) | Type::Status | Type::Float | Type::Uuid
                );
                let want = helps.then(|| Type::List(Box::new(settled_type(&element_typed.ty).clone())));
                (element_typed, self.infer(whole, want.as_ref()))
            }
        };
        if let Type::Optional(_) = &whole_typed.ty {
            return self.unsettled(whole, &whole_typed.ty.clone(), "what is looked into");
        }
        let Some(inner) = element_type(&whole_typed.ty) else {
            return self.no_member(&element_typed, &whole_typed.ty, op_span, element, whole);
        };
        let element_typed = self.readable_as(element_typed, &inner, element);
        if !comparable(&element_typed.ty, &inner) {
            return self.no_member(&element_typed, &whole_typed.ty, op_span, element, whole);
        }
        self.finish(Type::Bool, span, [element_typed, whole_typed], |[e, w]| not(Ir::In(Box::new(e), Box::new(w))))
    }

    /// A constant as what the other side is, where it can be read so.
    fn readable_as(&mut self, typed: Typed, want: &Type, e: &Expr) -> Typed {
        let readable = typed.constant.is_some()
            && matches!(
                (&typed.ty, want),
                (Type::Int, Type::Status | Type::Float) | (Type::String | Type::Url, Type::Union(_) | Type::Uuid)
            );
        if readable { self.fit(typed, want, e) } else { typed }
    }

    fn table(&self, e: &Expr) -> Option<(u32, Type)> {
        let ExprKind::Name(name) = &e.kind else { return None };
        let hidden =
            self.env.params.iter().any(|(n, _)| n == name) || self.env.arguments.iter().any(|(n, _)| n == name);
        let table = self.env.globals.table(name).filter(|_| !hidden)?;
        Some((table.id, table.ty.clone()))
    }

    fn no_member(&mut self, element: &Typed, whole: &Type, op_span: Span, e: &Expr, w: &Expr) -> Typed {
        if element.is_error() || *whole == Type::Error {
            return Typed::error(op_span);
        }
        let (e, w) = (shown::short(e), shown::short(w));
        let help = match (whole, &element.ty) {
            (Type::String | Type::Url | Type::Union(_), _) => {
                Some(format!("texts are searched with `{w} matches r\"…\"`, `starts-with` or `ends-with`"))
            }
            (Type::Ip, Type::Ip) => Some(format!("compare two addresses with `==`: `{e} == {w}`")),
            (Type::List(inner), _) if **inner == Type::String && is_scalar(&element.ty) => {
                Some(format!("as text: `text({e})`"))
            }
            _ => None,
        };
        self.report(
            Diagnostic::new(Code::E0416, op_span, format!("{} is never in {}", shown::a(&element.ty), shown::a(whole)))
                .also(element.span, format!("this is `{}`", element.ty))
                .maybe_help(help),
        )
    }

    fn has_several(&mut self, all: bool, op_span: Span, a: &Expr, b: &Expr, span: Span) -> Typed {
        let left = self.infer(a, None);
        if let Type::Optional(_) = left.ty {
            return self.unsettled(a, &left.ty.clone(), "what is looked into");
        }
        let right = self.infer(b, Some(&left.ty));
        if let Type::Optional(_) = right.ty {
            return self.unsettled(b, &right.ty.clone(), "what is looked for");
        }
        let word = if all { "has all" } else { "has any" };
        let (inner, wanted) = (element_type(&left.ty), element_type(&right.ty));
        match (inner, wanted) {
            (Some(x), Some(y)) if comparable(&x, &y) => {}
            _ if left.is_error() || right.is_error() => return Typed::error(span),
            (Some(x), None) if comparable(&x, &right.ty) => {
                return self.report(
                    Diagnostic::new(Code::E0416, op_span, format!("`{word}` takes a list"))
                        .also(right.span, format!("this is `{}`", right.ty))
                        .help(format!(
                            "write `{} has {}`, or a list: `{word} [{}]`",
                            shown::short(a),
                            shown::short(b),
                            shown::short(b)
                        )),
                );
            }
            _ => {
                return self.report(
                    Diagnostic::new(
                        Code::E0416,
                        op_span,
                        format!("{} never has what is in {}", shown::a(&left.ty), shown::a(&right.ty)),
                    )
                    .also(left.span, format!("this is `{}`", left.ty))
                    .also(right.span, format!("this is `{}`", right.ty)),
                );
            }
        }
        self.finish(Type::Bool, span, [left, right], |[a, b]| Ir::HasSeveral(Box::new(a), Box::new(b), all))
    }

    /// A side of `matches`, `starts-with`, `ends-with`: text, or a name as its text.
    pub(super) fn textual(&mut self, e: &Expr, op_span: Span) -> Typed {
        let typed = self.infer(e, None);
        match &typed.ty {
            Type::Error | Type::String | Type::Union(_) | Type::Url | Type::Name(_) | Type::Method => typed,
            Type::Optional(_) => self.unsettled(e, &typed.ty.clone(), "text"),
            other => {
                let help =
                    (is_scalar(other) || *other == Type::Json).then(|| format!("as text: `text({})`", shown::short(e)));
                let message = format!("this operator takes texts, not {}", shown::a(other));
                self.report(
                    Diagnostic::new(Code::E0416, op_span, message)
                        .also(typed.span, format!("this is `{other}`"))
                        .maybe_help(help),
                )
            }
        }
    }

    fn coalesce(&mut self, op_span: Span, a: &Expr, b: &Expr, expected: Option<&Type>, span: Span) -> Typed {
        let left = self.infer(a, expected);
        let base = settled_type(&left.ty).clone();
        match &left.ty {
            Type::Error => {
                self.infer(b, expected);
                return Typed::error(span);
            }
            Type::Optional(_) | Type::Json | Type::Null => {}
            _ => {
                self.d.push(
                    Diagnostic::new(
                        Code::W0401,
                        op_span,
                        format!("`{}` is always there, so `??` never takes its right side", shown::short(a)),
                    )
                    .also(left.span, format!("this is `{}`", left.ty))
                    .help("remove the default"),
                );
            }
        }
        let right = self.infer(b, Some(&base));
        let ty = match (&base, &right.constant) {
            _ if self.mixed => right.ty.clone(),
            (Type::Json, _) => Type::Json,
            (Type::Union(words), Some(Value::Str(text))) if right.ty == Type::String => {
                // `caller.tier ?? "none"`: a text of its own for what is absent.
                let mut words = words.clone();
                if !words.iter().any(|w| w == text.as_ref()) {
                    words.push(SmolStr::new(text));
                }
                Type::Union(words)
            }
            _ => match united(&base, &right.ty) {
                Some(ty) => {
                    if let (Type::Secret, Some(want)) = (settled_type(&ty), expected) {
                        self.keep_secret(&right, want, b);
                    }
                    ty
                }
                None => {
                    let want =
                        if matches!(right.ty, Type::Optional(_)) { base.clone().optional() } else { base.clone() };
                    let right = self.fit(right, &want, b);
                    if right.is_error() {
                        return Typed::error(span);
                    }
                    return self.finish(right.ty.clone(), span, [left, right], |[a, b]| {
                        Ir::Coalesce(Box::new(a), Box::new(b))
                    });
                }
            },
        };
        self.finish(ty, span, [left, right], |[a, b]| Ir::Coalesce(Box::new(a), Box::new(b)))
    }

    fn arithmetic(&mut self, op: BinaryOp, op_span: Span, a: &Expr, b: &Expr, span: Span) -> Typed {
        let (left, right) = (self.infer(a, None), self.infer(b, None));
        for (side, e) in [(&left, a), (&right, b)] {
            if matches!(side.ty, Type::Optional(_)) {
                return self.unsettled(e, &side.ty.clone(), "what is added or subtracted");
            }
        }
        let add = op == BinaryOp::Add;
        let ty = match (&left.ty, &right.ty) {
            (Type::Error, _) | (_, Type::Error) => return Typed::error(span),
            (Type::Int, Type::Int) => Type::Int,
            (Type::Float, Type::Float) => Type::Float,
            (Type::Float, Type::Int) if right.constant.is_some() => Type::Float,
            (Type::Int, Type::Float) if left.constant.is_some() => Type::Float,
            (Type::Size, Type::Size) => Type::Size,
            (Type::Percent, Type::Percent) => Type::Percent,
            (Type::Duration, Type::Duration) => Type::Duration,
            (Type::Time, Type::Duration) => Type::Time,
            (Type::Date, Type::Duration) => Type::Date,
            (Type::Duration, Type::Time) if add => Type::Time,
            (Type::Duration, Type::Date) if add => Type::Date,
            (Type::Time, Type::Time) if !add => Type::Duration,
            _ => return self.no_arithmetic(&left, a, &right, b, op_span),
        };
        self.finish(ty, span, [left, right], |[a, b]| match add {
            true => Ir::Add(Box::new(a), Box::new(b)),
            false => Ir::Subtract(Box::new(a), Box::new(b)),
        })
    }

    fn no_arithmetic(&mut self, left: &Typed, a: &Expr, right: &Typed, b: &Expr, op_span: Span) -> Typed {
        let text = |t: &Type| matches!(t, Type::String | Type::Union(_) | Type::Url);
        let help = match text(&left.ty) || text(&right.ty) {
            true => {
                let part = |typed: &Typed, e: &Expr| match &typed.constant {
                    Some(Value::Str(t)) => t.to_string(),
                    _ => format!("{{{}}}", shown::short(e)),
                };
                format!("texts are joined by writing them into one: \"{}{}\"", part(left, a), part(right, b))
            }
            false => {
                "numbers, sizes, durations and percentages are added to their like, and durations to times and dates"
                    .to_owned()
            }
        };
        self.report(
            Diagnostic::new(
                Code::E0416,
                op_span,
                format!("{} and {} cannot be added or subtracted", shown::a(&left.ty), shown::a(&right.ty)),
            )
            .also(left.span, format!("this is `{}`", left.ty))
            .also(right.span, format!("this is `{}`", right.ty))
            .help(help),
        )
    }
}

/// Values of these types can be equal.
pub(super) fn comparable(a: &Type, b: &Type) -> bool {
    let (a, b) = (settled_type(a), settled_type(b));
    match (a, b) {
        (Type::Null | Type::Json | Type::Error, _) | (_, Type::Null | Type::Json | Type::Error) => true,
        (Type::List(a), Type::List(b)) => comparable(a, b),
        // An address is in a network, it is no network.
        (Type::Ip, Type::Cidr) | (Type::Cidr, Type::Ip) => true,
        (a, b) => fits(a, b) || fits(b, a),
    }
}

/// What can be in a value of this type.
fn element_type(ty: &Type) -> Option<Type> {
    Some(match ty {
        Type::Error => Type::Error,
        Type::Json => Type::Json,
        Type::List(element) => element.as_ref().clone(),
        Type::Map(_) | Type::Record(_) => Type::String,
        Type::Cidr => Type::Ip,
        _ => return None,
    })
}

fn have_order(a: &Type, b: &Type) -> bool {
    let number = |t: &Type| matches!(t, Type::Int | Type::Float | Type::Json);
    let text = |t: &Type| matches!(t, Type::String | Type::Url);
    match (a, b) {
        (Type::Error, _) | (_, Type::Error) => true,
        (Type::Json, Type::Json) => false,
        (Type::Json, t) | (t, Type::Json) => number(t) || *t == Type::Status,
        (Type::Int, Type::Int)
        | (Type::Float, Type::Float)
        | (Type::Status, Type::Status | Type::Int)
        | (Type::Int, Type::Status) => true,
        (a, b) if text(a) && text(b) => true,
        (a, b) => a == b && matches!(a, Type::Percent | Type::Duration | Type::Size | Type::Date | Type::Time),
    }
}

pub(super) fn is_scalar(ty: &Type) -> bool {
    !matches!(
        ty,
        Type::Null
            | Type::Json
            | Type::Optional(_)
            | Type::List(_)
            | Type::Map(_)
            | Type::Record(_)
            | Type::Error
            | Type::Bytes
            | Type::Secret
    )
}
