// Which of two versions is lower, by npm's semver: compare.js DIRECTORY <PAIRS.
const library = require(`${process.argv[2]}/node_modules/semver`);
const pairs = require('fs').readFileSync(0, 'utf8').split('\n').filter(Boolean);
for (const pair of pairs) {
  const [a, b] = pair.split('\t');
  const known = [a, b].every((version) => library.valid(version));
  console.log([a, b, known ? library.compare(a, b) : 'none'].join('\t'));
}
