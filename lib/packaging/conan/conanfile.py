# Copyright (c) 2026 The cocp authors
# SPDX-License-Identifier: BSL-1.0

# Conan 2. In this tree: `conan create lib/packaging/conan --build=missing -s compiler.cppstd=20`.
# Its sources are those beside it.

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.build import check_min_cppstd
from conan.tools.files import copy, load, rmdir
from conan.tools.gnu import PkgConfigDeps
from conan.tools.layout import basic_layout
from conan.tools.meson import Meson, MesonToolchain

required_conan_version = ">=2.0"


class Cocp(ConanFile):
    name = "cocp"
    description = "Persistent connections for Boost.Asio coroutines, and pools of them"
    license = "BSL-1.0"
    topics = ("asio", "coroutines", "connection-pool", "networking")
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False], "fPIC": [True, False], "tls": [True, False]}
    default_options = {"shared": False, "fPIC": True, "tls": True}
    implements = ["auto_shared_fpic"]

    @property
    def _project(self):
        return os.path.join(self.recipe_folder, "..", "..", "..")

    def set_version(self):
        text = load(self, os.path.join(self._project, "meson.build"))
        self.version = self.version or re.search(r"^  version: '([0-9.]+)'", text, re.MULTILINE).group(1)

    def export_sources(self):
        for pattern in ("LICENSE", "README.md", "meson.build", "meson_options.txt", "include/*", "lib/*"):
            copy(self, pattern, self._project, self.export_sources_folder)

    def layout(self):
        basic_layout(self)

    def requirements(self):
        # Both are in the public headers, and must be the same for the program.
        self.requires("boost/[>=1.81 <2]", transitive_headers=True)
        if self.options.tls:
            self.requires("openssl/[>=1.1.1 <4]", transitive_headers=True, transitive_libs=True)

    def build_requirements(self):
        self.tool_requires("meson/[>=1.0 <2]")

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("cocp: Linux only")
        check_min_cppstd(self, 20)

    def generate(self):
        toolchain = MesonToolchain(self)
        for option in ("tests", "bench", "docs"):
            toolchain.project_options[option] = "disabled"
        toolchain.project_options["tls"] = "enabled" if self.options.tls else "disabled"
        # Meson asks no pkg-config for Boost. It is no dependency if the profile says that the platform has it.
        if any(dependency.ref.name == "boost" for dependency in self.dependencies.values()):
            toolchain.properties["boost_root"] = self.dependencies["boost"].package_folder
        toolchain.generate()
        PkgConfigDeps(self).generate()

    def build(self):
        meson = Meson(self)
        meson.configure()
        meson.build()

    def package(self):
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        Meson(self).install()
        # Conan makes these for those who ask.
        rmdir(self, os.path.join(self.package_folder, "lib", "cmake"))
        rmdir(self, os.path.join(self.package_folder, "lib", "pkgconfig"))

    def package_info(self):
        self.cpp_info.libs = ["cocp"]
        self.cpp_info.requires = ["boost::headers"] + (["openssl::openssl"] if self.options.tls else [])
        self.cpp_info.system_libs = ["pthread"]
        self.cpp_info.set_property("cmake_file_name", "cocp")
        self.cpp_info.set_property("cmake_target_name", "cocp::cocp")
        self.cpp_info.set_property("pkg_config_name", "cocp")
