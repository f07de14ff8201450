<?php
// Which of two versions is lower, by composer/semver: compare.php AUTOLOAD <PAIRS.
require $argv[1];
use Composer\Semver\Comparator;
use Composer\Semver\VersionParser;

$parser = new VersionParser();
while (($line = fgets(STDIN)) !== false) {
    [$a, $b] = explode("\t", rtrim($line, "\n"));
    try {
        $first = $parser->normalize($a);
        $second = $parser->normalize($b);
        $branch = strpos($first, 'dev-') === 0 || strpos($second, 'dev-') === 0;
        $order = Comparator::lessThan($first, $second) ? -1 : (Comparator::greaterThan($first, $second) ? 1 : 0);
        echo "$a\t$b\t", $branch ? 'none' : $order, "\n";
    } catch (UnexpectedValueException $e) {
        echo "$a\t$b\tnone\n";
    }
}
