/* Take apart what a reader types: Chinese has no spaces, and the index has words. The longest word of the index
   at each place; a single character that begins none is left out. */
function splitQuery(query) {
  const index = Search._index;
  const known = (word) => Object.hasOwn(index.terms, word) || Object.hasOwn(index.titleterms, word);
  const found = [];
  for (const run of query.match(/\p{Script=Han}+|(?:(?!\p{Script=Han})[\p{Letter}\p{Number}_])+/gu) || []) {
    if (!index || !/\p{Script=Han}/u.test(run) || known(run)) {
      found.push(run);
      continue;
    }
    const before = found.length;
    for (let start = 0; start < run.length; ) {
      let end = Math.min(run.length, start + 12);
      while (end > start + 1 && !known(run.slice(start, end))) end -= 1;
      if (end > start + 1) found.push(run.slice(start, end));
      start = end;
    }
    // Nothing that the index knows: ask for all of it, and find nothing.
    if (found.length === before) found.push(run);
  }
  return found;
}
