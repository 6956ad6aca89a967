if exists('b:did_indent')
  finish
endif
let b:did_indent = 1

setlocal indentexpr=GwIndent() indentkeys=0},0],0),!^F,o,O
let b:undo_indent = 'setlocal indentexpr< indentkeys<'

if exists('*GwIndent')
  finish
endif

" A line is indented under the last one, deeper behind an opening bracket, less where it closes one.
function! GwIndent() abort
  let last = prevnonblank(v:lnum - 1)
  if last == 0
    return 0
  endif
  let deeper = getline(last) =~# '[{[(]\s*\%(#.*\)\?$'
  let closes = getline(v:lnum) =~# '^\s*[}\])]'
  return indent(last) + (deeper - closes) * shiftwidth()
endfunction
