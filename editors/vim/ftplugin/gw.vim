if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

setlocal comments=:##,:# commentstring=#\ %s
setlocal expandtab shiftwidth=2 softtabstop=2
setlocal iskeyword+=-
if executable('gw')
  setlocal formatprg=gw\ fmt\ -
  setlocal makeprg=gw\ check\ --format\ github\ %
  setlocal errorformat=::%trror\ %.%#file=%f\\,line=%l\\,endLine=%e\\,col=%c\\,%.%#::%m,::%tarning\ %.%#file=%f\\,line=%l\\,endLine=%e\\,col=%c\\,%.%#::%m
endif

let b:undo_ftplugin = 'setlocal comments< commentstring< expandtab< shiftwidth< softtabstop< iskeyword< formatprg< makeprg< errorformat<'
