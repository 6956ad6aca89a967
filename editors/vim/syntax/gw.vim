" Vim syntax file of the gateway language. Made from the tables in src/:
" UPDATE_REFERENCE=1 cargo test --test reference
if exists('b:current_syntax')
  finish
endif

syn iskeyword @,48-57,_,-

syn keyword gwStatement GET HEAD accepts access-log acme add admin agree algorithms analytics api api-key audience auth balance basic body ca cache certificate challenge claims client-certificates client-id client-secret compose compress cors credentials directory discover domains echo eject email every expect expose external external-account file files for forward from group headers health healthy hmac host html http https import input introspection invariant issuer json jwks jwt key keys leeway let limit listen log max max-age methods metrics mirror mtls oauth oidc on origins paths policy pool port problem protocol protocols proxy-protocol redirect remove require respond retry scopes secret send server server-name set state sticky store table tag test text timeout tls token-endpoint trace trailing-slash trust unhealthy use validate version when
syn keyword gwWord after allow at auto backoff backup budget burst by clear concurrent connect connections cookie dns else empty-segments encoded-slash error exact extends failure failures fallback fixed forwarded h1 h2 h2c hash http-01 idle ignore index keep least-requests media-type memory min name over p2c pending preserve production proxies query random report-only requests required reset round-robin schema semicolon skip srv staging status terms tls-alpn-01 to total using weight where x-forwarded-for
syn keyword gwOperator and ends-with has in match matches not or starts-with
syn keyword gwConstant true false null none any all optional
syn keyword gwMethod GET HEAD POST PUT PATCH DELETE OPTIONS TRACE CONNECT ANY
syn keyword gwFact instance method path scheme
syn match gwStatement /\<\%(header\|request\|response\|route\|upstream\)\>\.\@!/
syn match gwOperator /[=!<>]=\|[<>|+?*]/
syn match gwFact /\<\%(caller\|client\|cookie\|error\|header\|query\|request\|response\|route\|upstream\)\.[A-Za-z0-9_.-]*\w/
syn match gwFunction /\<\%(base64\|format\|hash\|join\|json\|len\|lower\|now\|omit\|pick\|replace\|split\|text\|trim\|upper\|uuid\)(\@=/
syn match gwType /[:[|]\@1<=\s*\%(address\|bool\|bytes\|cidr\|date\|duration\|float\|int\|ip\|json\|method\|percent\|rate\|secret\|size\|status\|string\|time\|url\|uuid\)\>/
syn match gwArrow /->/
syn match gwNumber /[A-Za-z0-9_.-]\@1<!-\?\d[0-9_]*\%(\.\d\+\)*\%(%\|[A-Za-z]\+\)\?\%(\/[a-z0-9]\+\)\?/
syn match gwPath /[A-Za-z0-9_)\]"]\@1<!\/[A-Za-z0-9._~!$&'*+=:@%\/?-]*/ nextgroup=gwHole
syn match gwUrl /\<[a-z][a-z0-9+.-]*:\/\/[A-Za-z0-9._~!$&'*+=:@%\/?[\]-]*/ nextgroup=gwHole
syn region gwHole start=/{/ end=/}/ oneline contained contains=TOP nextgroup=gwPathMore
syn match gwPathMore /[A-Za-z0-9._~!$&'*+=:@%\/?-]\+/ contained nextgroup=gwHole
syn match gwEscape /\\\%(u{[^}]*}\|.\)/ contained
syn region gwString start=/"/ skip=/\\./ end=/"/ oneline contains=gwEscape,gwHole
syn match gwRaw /\<r"[^"]*"/
syn region gwRaw start=/\<r#"/ end=/"#/
syn match gwComment /#.*$/ contains=@Spell
syn match gwDocumentation /##\%(#\)\@!.*$/ contains=@Spell

hi def link gwStatement Statement
hi def link gwWord Keyword
hi def link gwOperator Operator
hi def link gwArrow Operator
hi def link gwConstant Constant
hi def link gwMethod Constant
hi def link gwFact Identifier
hi def link gwFunction Function
hi def link gwType Type
hi def link gwNumber Number
hi def link gwPath String
hi def link gwPathMore String
hi def link gwUrl Underlined
hi def link gwString String
hi def link gwRaw String
hi def link gwEscape SpecialChar
hi def link gwComment Comment
hi def link gwDocumentation SpecialComment

let b:current_syntax = 'gw'
