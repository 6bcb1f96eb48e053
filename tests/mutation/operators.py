"""How a line is changed: Cosmic Ray's operators, one change of each kind to a place, and two of our own."""

import ast
from collections.abc import Iterator

import parso
from cosmic_ray import plugins
from cosmic_ray.ast import Visitor, get_ast, is_number
from cosmic_ray.operators.operator import Operator

Position = tuple[tuple[int, int], tuple[int, int]]  # (line from 1, column from 0) of the start and of the end


class ReplaceFloat(Operator):
    """Multiply a float by 3/4: rates, slopes and weights that are a little off, as a slip of the pen leaves them."""

    def mutation_positions(self, node):
        """See Operator."""
        if is_number(node) and not node.value.isdigit() and isinstance(ast.literal_eval(node.value), float):
            yield node.start_pos, node.end_pos

    def mutate(self, node, index):
        """See Operator."""
        value = ast.literal_eval(node.value)
        return parso.python.tree.Number(repr(value * 0.75 if value else 0.25), node.start_pos, node.prefix)

    @classmethod
    def examples(cls):
        """See Operator."""
        return ()


class ReplaceInt(Operator):
    """Count one more or one less."""

    def mutation_positions(self, node):
        """See Operator."""
        if is_number(node) and isinstance(ast.literal_eval(node.value), int):
            yield from [(node.start_pos, node.end_pos)] * 2

    def mutate(self, node, index):
        """See Operator."""
        value = ast.literal_eval(node.value) + (1, -1)[index]
        return parso.python.tree.Number(repr(value), node.start_pos, node.prefix)

    @classmethod
    def examples(cls):
        """See Operator."""
        return ()


class RemoveStatement(Operator):
    """Leave out a call that is made for its effect, a `raise`, a `del` or an augmented assignment."""

    def mutation_positions(self, node):
        """See Operator."""
        if node.type == "simple_stmt" and self._has_effect(node.children[0]):
            yield node.children[0].start_pos, node.children[0].end_pos

    def mutate(self, node, index):
        """See Operator."""
        removed = node.children[0]
        node.children[0] = parso.python.tree.Name("pass", removed.start_pos, removed.get_first_leaf().prefix)
        return node

    @staticmethod
    def _has_effect(statement) -> bool:
        if statement.type == "expr_stmt":
            return getattr(statement.children[1], "value", "=") not in ("=", None)  # "+=" and the like
        return statement.type in ("atom_expr", "raise_stmt", "del_stmt")

    @classmethod
    def examples(cls):
        """See Operator."""
        return ()


_OF_COSMIC_RAY = (
    "AddNot",
    "ReplaceAndWithOr",
    "ReplaceOrWithAnd",
    "ReplaceTrueWithFalse",
    "ReplaceFalseWithTrue",
    "ReplaceBreakWithContinue",
    "ReplaceContinueWithBreak",
    "ExceptionReplacer",
    "ZeroIterationForLoop",
    "ReplaceUnaryOperator_Delete_USub",
    "ReplaceUnaryOperator_Delete_Not",
    *(
        f"ReplaceComparisonOperator_{change}"
        for change in ("Eq_NotEq", "NotEq_Eq", "Lt_LtE", "Lt_Gt", "LtE_Lt", "Gt_GtE", "Gt_Lt", "GtE_Gt")
    ),
    *(
        f"ReplaceBinaryOperator_{change}"
        for change in (
            "Add_Sub",
            "Sub_Add",
            "Mul_Div",
            "Div_Mul",
            "FloorDiv_Mul",
            "Mod_FloorDiv",
            "Pow_Mul",
            "LShift_RShift",
            "RShift_LShift",
            "BitOr_BitAnd",
            "BitAnd_BitOr",
        )
    ),
)

OPERATORS: dict[str, type[Operator]] = {
    **{name: plugins.get_operator(f"core/{name}") for name in _OF_COSMIC_RAY},
    "ReplaceFloat": ReplaceFloat,
    "ReplaceInt": ReplaceInt,
    "RemoveStatement": RemoveStatement,
}


class _Positions(Visitor):
    """Where an operator can act, in the order in which Cosmic Ray counts."""

    def __init__(self, operator: Operator):
        self.operator, self.found = operator, []

    def visit(self, node):
        self.found += self.operator.mutation_positions(node)
        return node


def changes(source: str) -> Iterator[tuple[str, int, Position]]:
    """Yield operator, occurrence and position of each change to a module that could show when it runs.

    Annotations are left alone, and the conditions that only a type checker, or `python -m`, answers otherwise.
    """
    silent = list(_silent(ast.parse(source)))
    for name, operator in OPERATORS.items():
        positions = _Positions(operator())
        positions.walk(get_ast(source))
        for occurrence, (start, end) in enumerate(positions.found):
            if not any(first <= start and end <= last for first, last in silent):
                yield name, occurrence, (start, end)


def _silent(tree: ast.AST) -> Iterator[Position]:
    for node in ast.walk(tree):
        parts = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        if isinstance(node, ast.If) and any(name in ast.unparse(node.test) for name in ("TYPE_CHECKING", "__name__")):
            parts.append(node.test)
        for part in parts:
            if part is not None:
                yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)
