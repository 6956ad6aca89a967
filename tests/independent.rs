//! A program with N independent mistakes gets exactly N diagnostics, wherever they stand.

use gw::check::Inputs;
use gw::diagnostic::render::{self, Look};
use gw::load::{self, MemoryFiles};

/// What the mistakes stand in.
const SOUND: &str = "\
listen http :8080
upstream base http://base.internal
input key: secret
auth good = jwt { issuer any; audience any; algorithms HS256; secret key }
route sound GET /sound -> base
";

/// A mistake and its code. `@` is another number each time; every line but the wrong one is right.
const MISTAKES: &[(&str, &str)] = &[
    ("E0101", "let text@ = \"no end"),
    ("E0107", "let text@ = \"a\\qb\""),
    ("E0201", "lett wrong@ = 5\nlet right@ = wrong@ + 1"),
    ("E0201", "aip shop@ /shop@ {\n  route get GET /a -> base\n}"),
    ("E0201", "route r@ GET /r@ -> base {\n  auht good\n  require caller.id != \"x\"\n}"),
    ("E0202", "route r@ GET /r@ -> base { server http://a.internal }"),
    ("E0203", "route r@ GET /r@ -> base { body max 1KiB 2KiB }"),
    ("E0204", "route r@ GET /r@ -> base {\n  auth\n  require caller.id != \"x\"\n}"),
    ("E0205", "upstream Orders@ http://orders.internal\nroute r@ GET /r@ -> Orders@"),
    ("E0206", "upstream u@ { server http://a.internal; balance random; balance p2c }"),
    ("E0207", "{ }"),
    ("E0208", "upstream u@ { server http://a.internal; timeout conect 1s }"),
    ("E0209", "route r@ GET /r@ -> base { timeout = 5s }"),
    ("E0209", "route r@ GET /r@ -> base { body max = 1KiB }"),
    ("E0210", "route r@ GET /r@ -> base { response { set path = \"/x\" } }"),
    ("E0301", "let twice@ = 1\nlet twice@ = 2"),
    ("E0302", "listen a@ http :1@\nlisten b@ http :1@"),
    ("E0312", "route r@ GET /r@ -> nowhere@\nroute s@ GET /s@ -> nowhere@"),
    ("E0313", "api a@ /a@ {\n  listen nowhere@\n  route get GET /x -> base\n}"),
    ("E0314", "route r@ GET /r@ -> base { use nothing@() }\nroute s@ GET /s@ -> base { use nothing@() }"),
    ("E0315", "policy p@(n: int) { limit 5 concurrent when n > 1 }\nroute r@ GET /r@ -> base { use p@() }"),
    ("E0316", "policy p@() { use q@() }\npolicy q@() { use p@() }"),
    ("E0317", "route r@ GET /r@ -> base {\n  auth nobody@\n  require caller.tier == \"pro\"\n}"),
    ("E0401", "route r@ GET /r@ -> base { limit 100/m by client.ip }"),
    ("E0403", "input i@: strin"),
    ("E0404", "route r@ GET /r@ -> base { require header.x-a }"),
    ("E0404", "route r@ GET /r@ -> base { timeout total 5 }"),
    ("E0405", "route r@ GET /r@ -> base { limit 1/s by header.x-a }"),
    ("E0408", "route r@ GET /r@ -> base {\n  require nothing@ == \"/x\"\n}"),
    ("E0409", "route r@ GET /r@ -> base { auth good; require caller.tier == \"pro\" }"),
    ("E0410", "route r@ GET /r@ when response.status == 200 -> base"),
    ("E0412", "route r@ GET /r@ -> respond 200 text \"{key}\""),
    ("E0413", "route r@ GET /r@ -> base { require path matches r\"(\" }"),
    ("E0416", "let sum@ = 5 + \"x\""),
    ("E0420", "route r@ GET /r@ -> base {\n  require caller.id != \"x\"\n  limit 1/s by caller\n}"),
    ("E0501", "route r@ GET r@/x -> base"),
    ("E0507", "route r@ GET /r@/{id}/{id} -> base"),
    ("E0508", "route r@ GET /r@/{id: float} -> base"),
    ("E0510", "api a@ {\n  host *\n  route get GET /sound -> base\n}"),
    ("E0514", "route r@ GET /r@"),
    ("E0516", "route r@ get /r@ -> base"),
    ("E0520", "route r@ GET /same@/{a} -> base\nroute s@ GET /same@/{b} -> base"),
    ("E0523", "route r@ GET /f@/{id: int} -> base { auth good }\nroute s@ GET /f@/{name} -> base"),
    ("E0531", "route r@ GET /r@ -> 90% base, 20% base"),
    ("E0604", "route r@ GET /r@ -> base { body max 1KiB; body max 2KiB }"),
    ("E0608", "route r@ GET /r@ -> base { response { set header.connection = \"x\" } }"),
    ("E0613", "route r@ GET /r@ -> respond 204 text \"x\""),
    ("E0702", "upstream u@ { balance random }"),
    ("E0703", "upstream u@ http://a.internal/?x=1"),
    ("E0801", "auth a@ = jwt { issuer any; audience any; secret key }"),
    ("E0901", "route r@ GET /r@ -> base { cache 60s }"),
];

/// The codes that a program gets, and how they are shown.
fn codes(text: &str) -> (Vec<&'static str>, String) {
    let checked = load::check(&MemoryFiles::default(), "gateway.gw".as_ref(), text.into(), &Inputs::default());
    let shown = render::human(&checked.diagnostics, &checked.sources, Look { width: 100, color: false });
    let mut codes: Vec<_> = checked.diagnostics.iter().map(|d| d.code.name()).collect();
    codes.sort_unstable();
    (codes, shown)
}

fn numbered(mistake: &str, number: usize) -> String {
    mistake.replace('@', &number.to_string()) + "\n"
}

#[test]
fn one_mistake_gets_one_diagnostic() {
    assert_eq!(codes(SOUND).0, Vec::<&str>::new());
    let mut wrong = String::new();
    for (code, mistake) in MISTAKES {
        let (found, shown) = codes(&(SOUND.to_owned() + &numbered(mistake, 100)));
        if found != [*code] {
            wrong += &format!("{mistake}\ngives {found:?} and not {code}:\n{shown}\n");
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn n_independent_mistakes_get_n_diagnostics() {
    let mut state = 7_u64;
    let mut random = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for _ in 0..200 {
        let many = 1 + random(20);
        let chosen: Vec<_> = (0..many).map(|_| MISTAKES[random(MISTAKES.len())]).collect();
        let mut parts: Vec<_> = chosen.iter().enumerate().map(|(n, (_, mistake))| numbered(mistake, 100 + n)).collect();
        parts.insert(random(many + 1), SOUND.to_owned());
        let mut expected: Vec<_> = chosen.iter().map(|(code, _)| *code).collect();
        expected.sort_unstable();
        let text = parts.concat();
        let (found, shown) = codes(&text);
        assert_eq!(found, expected, "{text}\n{shown}");
    }
}
