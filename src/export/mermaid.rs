//! A picture as a Mermaid flow chart, which GitHub and GitLab draw in Markdown.

use super::picture::{Kind, Node, Picture};
use crate::plan::Plan;
use std::fmt::Write;

/// The whole picture, from left to right.
pub fn mermaid(plan: &Plan) -> String {
    let picture = Picture::new(plan);
    let mut out = String::from("flowchart LR\n");
    for (i, group) in picture.groups.iter().enumerate() {
        let indent = match &group.label {
            None => "  ",
            Some(label) => {
                let _ = writeln!(out, "  subgraph g{i}[\"{}\"]", escaped(label));
                "    "
            }
        };
        for node in &group.nodes {
            let _ = writeln!(out, "{indent}{}{}", node.id, shaped(node));
        }
        if group.label.is_some() {
            out.push_str("  end\n");
        }
    }
    for edge in &picture.edges {
        let arrow = if edge.dashed { "-.->" } else { "-->" };
        let label = if edge.label.is_empty() { String::new() } else { format!("|\"{}\"|", escaped(&edge.label)) };
        let _ = writeln!(out, "  {} {arrow}{label} {}", edge.from, edge.to);
    }
    out
}

fn shaped(node: &Node) -> String {
    let label = node.lines.iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br/>");
    let (open, close) = match node.kind {
        Kind::Listener => (">", "]"),
        Kind::Route | Kind::Policies => ("[", "]"),
        Kind::Auth => ("{{", "}}"),
        Kind::Upstream => ("[(", ")]"),
        Kind::Answer => ("([", "])"),
    };
    format!("{open}\"{label}\"{close}")
}

/// What stands between quotes. What could end them, or be read as markup or a directive, is written by its number.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' | '#' | '<' | '>' | '&' | '`' | '\\' | '%' | '{' | '}' => {
                let _ = write!(out, "#{};", u32::from(c));
            }
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
