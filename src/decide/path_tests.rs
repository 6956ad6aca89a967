use super::*;

fn shown(raw: &str) -> String {
    match normalise(raw) {
        Ok(n) if n.flags().is_empty() => n.as_str().to_owned(),
        Ok(n) => format!("{} {:?}", n.as_str(), n.flags().first_missing(PathFlags::NONE).unwrap()),
        Err(error) => format!("{error:?}"),
    }
}

#[test]
fn normal_paths_are_borrowed() {
    for path in ["/", "/a/b", "/a/b/", "/a.b/c..d", "/.well-known/x", "/a%20b", "/a:b@c!$&'()*+,=~_-", "/%2561", "/caf%C3%A9", "*"] {
        let normal = normalise(path).unwrap();
        assert!(matches!(normal.path, Cow::Borrowed(p) if p == path), "{path}: {normal:?}");
    }
}

#[test]
fn equivalent_paths_become_one() {
    for (raw, normal) in [
        ("", "/"),
        ("/%61%2D%7e", "/a-~"),
        ("/%c3%a9", "/%C3%A9"),
        ("/a/./b", "/a/b"),
        ("/a/../b", "/b"),
        ("/a/b/..", "/a/"),
        ("/a/.", "/a/"),
        ("/.", "/"),
        ("/a/..", "/"),
        ("/a/%2e%2E/b", "/b"),
        ("/a/.%2e/b", "/b"),
        ("/...", "/..."),
        ("/a..", "/a.."),
        ("/{a}|\"^`<>", "/%7Ba%7D%7C%22%5E%60%3C%3E"),
        ("/%25%32%65", "/%252e"),
        ("/%2561", "/%2561"),
        ("/a%3Fb%23c", "/a%3Fb%23c"),
        ("/a%3ab", "/a%3Ab"),
    ] {
        assert_eq!(shown(raw), normal, "{raw}");
    }
}

#[test]
fn what_readers_understand_differently_is_refused_or_flagged() {
    for (raw, expected) in [
        ("/a\\b", "Backslash"),
        ("/a%5cb", "Backslash"),
        ("\\a", "Backslash"),
        ("/\0", "Control"),
        ("/%00", "Control"),
        ("/a%0d%0ab", "Control"),
        ("/a\tb", "Control"),
        ("/%7f", "Control"),
        ("/%", "PercentEncoding"),
        ("/%4", "PercentEncoding"),
        ("/%zz", "PercentEncoding"),
        ("/%u002e", "PercentEncoding"),
        ("/%%32e", "PercentEncoding"),
        ("/%c0%ae", "NotUtf8"),
        ("/%c0%af", "NotUtf8"),
        ("/%ff", "NotUtf8"),
        ("/%ed%a0%80", "NotUtf8"),
        ("/é", "NotAscii"),
        ("/a b", "Delimiter"),
        ("/a#b", "Delimiter"),
        ("/..", "LeavesRoot"),
        ("/../a", "LeavesRoot"),
        ("/a/../../b", "LeavesRoot"),
        ("/%2e%2e/a", "LeavesRoot"),
        ("a/b", "NotAbsolute"),
        ("..", "NotAbsolute"),
        ("/a%2fb", "/a%2Fb EncodedSlash"),
        ("/a;b", "/a;b Semicolon"),
        ("/a%3bb", "/a%3Bb Semicolon"),
        ("//", "// EmptySegments"),
        ("//a", "//a EmptySegments"),
        ("/a//b", "/a//b EmptySegments"),
        ("/a//", "/a// EmptySegments"),
        ("/..;/a", "HiddenDots"),
        ("/a/..;x=1/b", "HiddenDots"),
        ("/a/.;/b", "HiddenDots"),
        ("/a/..%3b/b", "HiddenDots"),
        ("/a/..%2fb", "HiddenDots"),
        ("/a/%2e%2e%2fb", "HiddenDots"),
        ("/a/x%2f..", "HiddenDots"),
        ("/a/x%2f..;y", "HiddenDots"),
        ("/a//../b", "HiddenDots"),
        ("/a;x/../b", "HiddenDots"),
        ("/a%2fb/../c", "HiddenDots"),
    ] {
        assert_eq!(shown(raw), expected, "{raw}");
    }
}

#[test]
fn normalising_twice_changes_nothing() {
    for raw in ["/%61/../b", "/{", "/%2e/x", "/a%2fb", "/%41%25", "/x/./y/"] {
        let once = normalise(raw).unwrap();
        let twice = normalise(once.as_str()).unwrap();
        assert_eq!(once, twice, "{raw}");
    }
}

#[test]
fn segments_stay_segments() {
    for (value, encoded) in [("a", "a"), ("a/b", "a%2Fb"), ("a b?c#d%", "a%20b%3Fc%23d%25"), ("é", "%C3%A9"), ("a;b\\", "a%3Bb%5C"), ("", "")] {
        assert_eq!(encode_segment(value), encoded);
    }
    for bad in [".", "..", "..;x", "../x", "x/..", "a\\..\\b", ".;"] {
        assert!(makes_dot_segment(bad), "{bad}");
    }
    for good in ["a", "...", "a..", "..a", "a/b", ""] {
        assert!(!makes_dot_segment(good), "{good}");
    }
}

#[test]
fn targets_are_taken_apart() {
    let target = |raw| Target::parse(raw).map(|t| (t.authority, t.path, t.query));
    assert_eq!(target("/a?b?c"), Ok((None, "/a", Some("b?c"))));
    assert_eq!(target("http://h:80/a?"), Ok((Some("h:80"), "/a", Some(""))));
    assert_eq!(target("http://h"), Ok((Some("h"), "", None)));
    assert_eq!(target("http://h?q"), Ok((Some("h"), "", Some("q"))));
    assert_eq!(target("http://h\\@evil/a"), Ok((Some("h"), "\\@evil/a", None)));
    assert_eq!(target("*"), Ok((None, "*", None)));
    assert_eq!(target("/a://b"), Ok((None, "/a://b", None)));
    assert_eq!(target("h:80"), Err(PathError::NotAbsolute));
    assert_eq!(target("/a#b"), Err(PathError::Delimiter));
}
