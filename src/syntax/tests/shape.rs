//! The shape of what has no mistakes.

use super::{SAMPLE, tree};

#[test]
fn the_sample_of_the_language() {
    let seen = tree(SAMPLE);
    if std::env::var_os("GW_BLESS").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/syntax/tests/sample.tree"), &seen).unwrap();
    }
    assert_eq!(seen, include_str!("sample.tree"));
}

#[test]
fn where_statements_end() {
    assert_eq!(tree("a; b\nc\n\n;d"), "a\nb\nc\nd\n");
    assert_eq!(tree("a,\nb ->\nc =\nd:\ne +\nf"), "a ~`,` b `->` c `=` d ~`:` e `+` f\n");
    assert_eq!(tree("a and\nb not in\nc has any\nd matches # e\n\n# f\ng"), "a and b not in c has any d matches g\n");
    assert_eq!(tree("a (\nb\n) [\nc\n]\nd"), "a (b) [c]\nd\n");
    assert_eq!(
        tree("a\n-> b\n| c\nand d\n?? e\nby f # g\n\nat /h\nelse i"),
        "a `->` b `|` c and d `??` e by f at path:/h else i\n"
    );
    assert_eq!(tree("a\nelse: b\nby = c\nat : d\norigins e"), "a\nelse ~`:` b\nby `=` c\nat `:` d\norigins e\n");
    assert_eq!(tree("a\nby == b"), "a by `==` b\n");
    assert_eq!(tree("a =\nlet b"), "a `=`\nlet b\n");
    assert_eq!(tree("{ a: b\nand: c }"), "{\n  a ~`:` b\n  and ~`:` c\n}\n");
}

#[test]
fn words() {
    assert_eq!(tree("a-b _c x.y.z-1 a->b a - b a -1 a -b"), "a-b _c x.y.z-1 a ~`->` ~b a `-` b a #-1 a `-` ~b\n");
    assert_eq!(
        tree("header[\"x y\"] headers(\"x\") a [b] a (b) a[0].b"),
        "header ~[\"x y\"] headers ~(\"x\") a [b] a (b) a ~[#0] ~`.` ~b\n"
    );
    assert_eq!(
        tree("42 -1 1_000 0.5 250ms 64KiB 100/min 12.5% 5xx 2026-01-01 10.0.0.0/8 10ms..1s"),
        "#42 #-1 #1_000 #0.5 #250ms #64KiB #100/min #12.5% #5xx #2026-01-01 #10.0.0.0/8 #10ms ~`..` ~#1s\n"
    );
    assert_eq!(
        tree("localhost:8080 :8080 [::1]:80 [::1] fd00::/8 1::2 127.0.0.1:80"),
        "localhost:8080 `:8080` socket:[::1]:80 [ip:::1] ip:fd00::/8 ip:1::2 #127.0.0.1:80\n"
    );
    assert_eq!(tree("*.a.b {c}.a.b a.b *"), "host:*.a.b host:{c}.a.b a.b `*`\n");
    assert_eq!(tree("string? reds://x not-in inner ander"), "string ~`?` url:reds://x not-in inner ander\n");
}

#[test]
fn paths_and_urls() {
    assert_eq!(
        tree("/ /a/b-c.d~!$&'*+=:@%20?e=f /a(b)/c, /d;/e#f"),
        "path:/ path:/a/b-c.d~!$&'*+=:@%20?e=f path:/a(b)/c ~`,` path:/d\npath:/e\n#\n"
    );
    assert_eq!(
        tree("/a->b /a/{b: int}.csv /{c...} /u({d}) (/x)"),
        "path:/a ~`->` ~b path:/a/{b ~`:` int}.csv path:/{... c} path:/u({d}) (path:/x)\n"
    );
    assert_eq!(
        tree("http://a:80/b/{c} https://[::1]:8080/x?y={z.q}"),
        "url:http://a:80/b/{c} url:https://[::1]:8080/x?y={z.q}\n"
    );
    assert_eq!(tree("/a {\nb\n}\n/a{\nb\n}"), "path:/a {\n  b\n}\npath:/a ~{\n  b\n}\n");
}

#[test]
fn strings() {
    assert_eq!(tree(r#"a "b {c.d} \{e} {f("g")}" r"\d{2}""#), "a \"b {c.d} {e} {f ~(\"g\")}\" raw\"\\\\d{2}\"\n");
    assert_eq!(tree(r##"r#"a"b"# "{match a { "b": c }}""##), "raw\"a\\\"b\" \"{match a {\n  \"b\" ~`:` c\n}}\"\n");
}

#[test]
fn documentation() {
    assert_eq!(
        tree("## a\n##b\n\n# c\nd {\n  ## e\n  f\n  ## g\n}\n### h\n## i"),
        "#\n## a\n## b\nd {\n  ## e\n  f\n  #\n}\n#\n#\n"
    );
}
