// Which of two versions is lower, by Go's own semver and go/version: compare <PAIRS.
package main

import (
	"bufio"
	"fmt"
	"go/version"
	"os"
	"strings"

	"compare/semver"
)

func isLanguage(v string) bool {
	v, _, _ = strings.Cut(v, "-")
	return version.Lang(v) == v && version.Compare(v, "go1.21") >= 0
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		a, b, _ := strings.Cut(lines.Text(), "\t")
		order := "none"
		if semver.IsValid(a) && semver.IsValid(b) {
			order = fmt.Sprint(semver.Compare(a, b))
		} else if isLanguage(a) || isLanguage(b) {
			// A version of the language since Go 1.21, and of no toolchain.
		} else if version.IsValid(a) && version.IsValid(b) {
			order = fmt.Sprint(version.Compare(a, b))
		}
		fmt.Printf("%s\t%s\t%s\n", a, b, order)
	}
}
