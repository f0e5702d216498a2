"""The style of the report of a settlement, on screen and on paper. No external font or image."""

from __future__ import annotations

from typing import Final

STYLE: Final = """
:root{color-scheme:light}
*{box-sizing:border-box}
html{font-size:14px}
body{font:1rem/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;
 color:#1b1f24;background:#fff;margin:0 auto;max-width:72rem;padding:2rem}
h1{font-size:1.6rem;margin:0 0 .25rem}
h2{font-size:1.1rem;margin:2rem 0 .5rem;border-bottom:1px solid #d8dde3;padding-bottom:.25rem}
h3{font-size:.95rem;margin:1rem 0 .25rem}
p{margin:.25rem 0}
.quiet{color:#57606a}
.verdict{font-size:1.05rem;border-left:4px solid #57606a;background:#f6f8fa;padding:.6rem .9rem;
 margin:1rem 0}
.verdict.good{border-color:#1a7f37}.verdict.open{border-color:#bf5700}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.25rem;margin:.75rem 0}
dt{color:#57606a}dd{margin:0;overflow-wrap:anywhere}
table{border-collapse:collapse;width:100%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:.3rem .6rem;border-bottom:1px solid #e6e9ed}
th{color:#57606a;font-weight:600;border-bottom-color:#b6bec8}
.number{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
tr.sum td{font-weight:600;border-top:1px solid #b6bec8}
tr.result td{font-weight:700;border-bottom:3px double #57606a}
tr.off td{color:#a40e26}
.code{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;font-size:.85em;
 overflow-wrap:anywhere}
.bars svg{display:block;width:100%;height:.8rem}
.bars td{vertical-align:middle}.bars td:nth-child(3){width:60%}
td.why{min-width:13rem}
footer{margin-top:2rem;color:#57606a;font-size:.85rem}
@page{size:A4;margin:14mm}
@media print{html{font-size:10px}body{padding:0;max-width:none}h2{break-after:avoid}
 tr{break-inside:avoid}thead{display:table-header-group}}
"""
