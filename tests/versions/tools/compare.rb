# Which of two versions is lower, by RubyGems: compare.rb <PAIRS.
STDIN.each_line do |line|
  a, b = line.chomp.split("\t")
  order = begin
    Gem::Version.new(a) <=> Gem::Version.new(b)
  rescue ArgumentError
    'none'
  end
  puts [a, b, order].join("\t")
end
