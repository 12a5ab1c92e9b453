# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0

# An overlay port: `vcpkg install cocp --overlay-ports=cocp/lib/packaging/vcpkg`. Its sources are those beside it.
get_filename_component(SOURCE_PATH "${CURRENT_PORT_DIR}/../../.." ABSOLUTE)

if("tls" IN_LIST FEATURES)
  set(tls enabled)
else()
  set(tls disabled)
endif()

# Meson asks no pkg-config for Boost.
set(ENV{BOOST_ROOT} "${CURRENT_INSTALLED_DIR}")
vcpkg_configure_meson(
  SOURCE_PATH "${SOURCE_PATH}"
  OPTIONS -Dtests=disabled -Dbench=disabled -Ddocs=disabled -Dtls=${tls})
vcpkg_install_meson()
vcpkg_fixup_pkgconfig()

# To share/cocp, from where it looks for the library.
vcpkg_cmake_config_fixup(PACKAGE_NAME cocp CONFIG_PATH lib/cmake/cocp)
vcpkg_replace_string("${CURRENT_PACKAGES_DIR}/share/cocp/cocp-config.cmake"
  "\"\${CMAKE_CURRENT_LIST_DIR}/../..\" ABSOLUTE" "\"\${CMAKE_CURRENT_LIST_DIR}/../../lib\" ABSOLUTE")
vcpkg_replace_string("${CURRENT_PACKAGES_DIR}/share/cocp/cocp-config.cmake"
  "\${CMAKE_CURRENT_LIST_DIR}/../../../include" "\${CMAKE_CURRENT_LIST_DIR}/../../include" IGNORE_UNCHANGED)

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
