# cmake -DDIST=dir -DOUT=dir -P embed_assets.cmake: writes dashboard_assets.{S,cpp} for all of dir.
file(GLOB_RECURSE files RELATIVE "${DIST}" "${DIST}/*")
list(SORT files)
set(asm ".section .rodata\n")
set(declarations "")
set(rows "")
set(i 0)
foreach(f IN LISTS files)
  string(APPEND asm
    ".balign 16\n.globl streamobs_asset_${i}\nstreamobs_asset_${i}:\n.incbin \"${DIST}/${f}\"\n"
    ".globl streamobs_asset_${i}_end\nstreamobs_asset_${i}_end:\n.byte 0\n")
  string(APPEND declarations "extern const char streamobs_asset_${i}[];\nextern const char streamobs_asset_${i}_end[];\n")
  if(f MATCHES "\\.html$")
    set(type "text/html; charset=utf-8")
  elseif(f MATCHES "\\.js$")
    set(type "text/javascript; charset=utf-8")
  elseif(f MATCHES "\\.css$")
    set(type "text/css; charset=utf-8")
  elseif(f MATCHES "\\.svg$")
    set(type "image/svg+xml")
  elseif(f MATCHES "\\.txt$")
    set(type "text/plain; charset=utf-8")
  else()
    set(type "application/octet-stream")
  endif()
  # Names under assets/ carry a hash of their content.
  if(f MATCHES "^assets/")
    set(immutable true)
  else()
    set(immutable false)
  endif()
  string(APPEND rows
    "      {\"/${f}\", \"${type}\",\n       {streamobs_asset_${i}, static_cast<std::size_t>(streamobs_asset_${i}_end - streamobs_asset_${i})}, ${immutable}},\n")
  math(EXPR i "${i}+1")
endforeach()
string(APPEND asm ".section .note.GNU-stack,\"\",@progbits\n")
file(WRITE "${OUT}/dashboard_assets.S" "${asm}")
file(WRITE "${OUT}/dashboard_assets.cpp"
"// Written by cmake/embed_assets.cmake.
#include \"serve/assets.h\"

extern \"C\" {
${declarations}}

namespace streamobs::serve {

std::span<const Asset> dashboard_assets() {
  static const Asset kAssets[] = {
${rows}  };
  return kAssets;
}

}  // namespace streamobs::serve
")
