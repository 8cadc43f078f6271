import { relative } from 'node:path';
import ts from 'typescript-6';

/**
 * Every name that the declarations of `entries` show, directly or through other names: 'frontend/card.d.ts Card'. Relative to
 * `root`; what other packages declare is left out.
 */
export function publicNames(root: string, entries: readonly string[]): string[] {
  const options = { module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, types: ['node'] };
  const program = ts.createProgram(entries, options);
  const checker = program.getTypeChecker();
  const names = new Set<string>();
  const visited = new Set<ts.Declaration>();
  const left: ts.Symbol[] = [];

  for (const entry of entries) {
    const source = program.getSourceFile(entry);
    const module = source && checker.getSymbolAtLocation(source);
    if (module === undefined) throw new Error(`${entry} is no module`);
    left.push(...checker.getExportsOfModule(module));
  }
  for (let symbol = left.pop(); symbol !== undefined; symbol = left.pop()) {
    const meant = symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol;
    for (const declaration of meant.declarations ?? []) {
      const file = relative(root, declaration.getSourceFile().fileName);
      const name = `${file} ${meant.name}`;
      if (file.startsWith('..') || file.includes('node_modules') || visited.has(declaration)) continue;
      visited.add(declaration);
      if (!ts.isTypeParameterDeclaration(declaration)) names.add(name);
      visit(declaration);
    }
  }
  return [...names].sort();

  function visit(node: ts.Node): void {
    const named = ts.isTypeReferenceNode(node)
      ? node.typeName
      : ts.isTypeQueryNode(node)
        ? node.exprName
        : undefined;
    const base = ts.isExpressionWithTypeArguments(node) ? node.expression : undefined;
    const symbol = named ?? base;
    if (symbol !== undefined) {
      const found = checker.getSymbolAtLocation(symbol);
      if (found !== undefined) left.push(found);
    }
    ts.forEachChild(node, visit);
  }
}
