//! Lua 5.1's grammar, by recursive descent.

use super::syntax::{Expression, Field, Function, Kind, Local, Statement};
use super::token::{Keyword, Lexer, NoWord, Token};

/// How deep a text may be nested; Lua's own limit is 200 calls.
const DEPTH_MAX: u32 = 150;
/// How tightly operators of one operand bind.
const UNARY_POWER: u8 = 15;

/// A text that is read: its statements, and how many local variables and functions it has.
#[derive(Debug)]
pub(super) struct Chunk<'t> {
    pub(super) body: Vec<Statement<'t>>,
    pub(super) locals: usize,
    pub(super) functions: usize,
}

/// Where a text is no Lua, or nested too deep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotRead {
    pub(super) line: u32,
}

impl From<NoWord> for NotRead {
    fn from(NoWord(line): NoWord) -> Self {
        Self { line }
    }
}

type Read<T> = Result<T, NotRead>;

/// Reads a text.
pub(super) fn parse(text: &[u8]) -> Read<Chunk<'_>> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser =
        Parser { line: lexer.line(), lexer, token, scopes: Vec::new(), locals: 0, functions: 0, depth: 0 };
    let body = parser.block()?;
    if parser.token != Token::End {
        return parser.fails();
    }
    Ok(Chunk { body, locals: parser.locals, functions: parser.functions })
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    token: Token<'t>,
    /// The token's line.
    line: u32,
    /// The names that are visible, the innermost last.
    scopes: Vec<(&'t str, Local)>,
    locals: usize,
    functions: usize,
    depth: u32,
}

impl<'t> Parser<'t> {
    fn fails<T>(&self) -> Read<T> {
        Err(NotRead { line: self.line })
    }

    fn take(&mut self) -> Read<Token<'t>> {
        let next = self.lexer.next()?;
        self.line = self.lexer.line();
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn is_mark(&self, mark: &str) -> bool {
        matches!(self.token, Token::Mark(found) if found == mark)
    }

    fn is_keyword(&self, keyword: Keyword) -> bool {
        self.token == Token::Keyword(keyword)
    }

    fn skip_mark(&mut self, mark: &str) -> Read<bool> {
        let is_there = self.is_mark(mark);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    fn skip_keyword(&mut self, keyword: Keyword) -> Read<bool> {
        let is_there = self.is_keyword(keyword);
        if is_there {
            self.take()?;
        }
        Ok(is_there)
    }

    fn expect_mark(&mut self, mark: &str) -> Read<()> {
        if self.skip_mark(mark)? { Ok(()) } else { self.fails() }
    }

    fn expect_keyword(&mut self, keyword: Keyword) -> Read<()> {
        if self.skip_keyword(keyword)? { Ok(()) } else { self.fails() }
    }

    fn name(&mut self) -> Read<&'t str> {
        let Token::Name(name) = self.token else { return self.fails() };
        self.take()?;
        Ok(name)
    }

    fn declare(&mut self, name: &'t str) -> Local {
        self.scopes.push((name, self.locals));
        self.locals += 1;
        self.locals - 1
    }

    fn variable(&self, name: &'t str) -> Kind<'t> {
        let found = self.scopes.iter().rev().find(|(other, _)| *other == name);
        found.map_or(Kind::Global(name), |(_, local)| Kind::Local(*local))
    }

    /// Runs what may nest.
    fn deeper<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<T> {
        let depth = self.depth;
        self.count_deeper()?;
        let result = read(self);
        self.depth = depth;
        result
    }

    /// Counts one step down in the tree. A tree as deep as a text is long would overflow the stack of whoever walks it.
    fn count_deeper(&mut self) -> Read<()> {
        if self.depth == DEPTH_MAX {
            return self.fails();
        }
        self.depth += 1;
        Ok(())
    }

    /// Statements up to what ends their block; what they declare is forgotten with it.
    fn block(&mut self) -> Read<Vec<Statement<'t>>> {
        let visible = self.scopes.len();
        let body = self.deeper(Self::statements)?;
        self.scopes.truncate(visible);
        Ok(body)
    }

    fn statements(&mut self) -> Read<Vec<Statement<'t>>> {
        let mut body = Vec::new();
        loop {
            let is_end = match &self.token {
                Token::End => true,
                Token::Keyword(word) => {
                    matches!(word, Keyword::End | Keyword::Else | Keyword::Elseif | Keyword::Until)
                }
                _ => false,
            };
            if is_end {
                return Ok(body);
            }
            let is_last = self.is_keyword(Keyword::Return) || self.is_keyword(Keyword::Break);
            body.extend(self.statement()?);
            self.skip_mark(";")?;
            if is_last {
                return Ok(body);
            }
        }
    }

    fn statement(&mut self) -> Read<Option<Statement<'t>>> {
        let Token::Keyword(keyword) = self.token else { return self.assignment_or_call().map(Some) };
        match keyword {
            Keyword::If => self.condition().map(Some),
            Keyword::While => {
                self.take()?;
                let condition = self.expression()?;
                self.expect_keyword(Keyword::Do)?;
                let body = self.block()?;
                self.expect_keyword(Keyword::End)?;
                Ok(Some(Statement::Blocks(vec![condition], vec![body])))
            }
            Keyword::Do => {
                self.take()?;
                let body = self.block()?;
                self.expect_keyword(Keyword::End)?;
                Ok(Some(Statement::Blocks(Vec::new(), vec![body])))
            }
            Keyword::For => self.loop_over().map(Some),
            Keyword::Repeat => self.repetition().map(Some),
            Keyword::Function => self.named_function().map(Some),
            Keyword::Local => self.declaration().map(Some),
            Keyword::Return => {
                let line = self.line;
                self.take()?;
                let is_bare = self.token == Token::End
                    || self.is_mark(";")
                    || matches!(
                        self.token,
                        Token::Keyword(Keyword::End | Keyword::Else | Keyword::Elseif | Keyword::Until)
                    );
                let values = if is_bare { Vec::new() } else { self.expressions()? };
                Ok(Some(Statement::Return(line, values)))
            }
            Keyword::Break => self.take().map(|_| None),
            _ => self.fails(),
        }
    }

    fn condition(&mut self) -> Read<Statement<'t>> {
        let (mut conditions, mut blocks) = (Vec::new(), Vec::new());
        loop {
            // `if` or `elseif`
            self.take()?;
            conditions.push(self.expression()?);
            self.expect_keyword(Keyword::Then)?;
            blocks.push(self.block()?);
            if self.is_keyword(Keyword::Elseif) {
                continue;
            }
            if self.skip_keyword(Keyword::Else)? {
                blocks.push(self.block()?);
            }
            self.expect_keyword(Keyword::End)?;
            return Ok(Statement::Blocks(conditions, blocks));
        }
    }

    fn loop_over(&mut self) -> Read<Statement<'t>> {
        let line = self.line;
        self.take()?;
        let mut names = vec![self.name()?];
        if self.skip_mark("=")? {
            let limits = self.expressions()?;
            self.expect_keyword(Keyword::Do)?;
            let visible = self.scopes.len();
            let counter = self.declare(names[0]);
            let body = self.block()?;
            self.scopes.truncate(visible);
            self.expect_keyword(Keyword::End)?;
            return Ok(Statement::Count(line, counter, limits, body));
        }
        while self.skip_mark(",")? {
            names.push(self.name()?);
        }
        self.expect_keyword(Keyword::In)?;
        let over = self.expressions()?;
        self.expect_keyword(Keyword::Do)?;
        let visible = self.scopes.len();
        let names = names.into_iter().map(|name| self.declare(name)).collect();
        let body = self.block()?;
        self.scopes.truncate(visible);
        self.expect_keyword(Keyword::End)?;
        Ok(Statement::Each(line, names, over, body))
    }

    /// The condition sees what the body declares.
    fn repetition(&mut self) -> Read<Statement<'t>> {
        self.take()?;
        let visible = self.scopes.len();
        let body = self.deeper(Self::statements)?;
        self.expect_keyword(Keyword::Until)?;
        let condition = self.expression()?;
        self.scopes.truncate(visible);
        Ok(Statement::Blocks(vec![condition], vec![body]))
    }

    fn named_function(&mut self) -> Read<Statement<'t>> {
        let line = self.line;
        self.take()?;
        let name = self.name()?;
        let mut target = Expression { line, kind: self.variable(name) };
        let mut has_self = false;
        while !has_self && (self.is_mark(".") || self.is_mark(":")) {
            has_self = self.is_mark(":");
            self.take()?;
            let field = Expression { line, kind: Kind::Text(self.name()?.as_bytes().into()) };
            target = Expression { line, kind: Kind::Index(Box::new(target), Box::new(field)) };
        }
        let function = self.function(has_self)?;
        Ok(Statement::Assign(vec![target], vec![Expression { line, kind: function }]))
    }

    fn declaration(&mut self) -> Read<Statement<'t>> {
        let line = self.line;
        self.take()?;
        if self.skip_keyword(Keyword::Function)? {
            let name = self.name()?;
            let local = self.declare(name);
            let kind = self.function(false)?;
            return Ok(Statement::Declare(line, vec![local], vec![Expression { line, kind }]));
        }
        let mut names = vec![self.name()?];
        while self.skip_mark(",")? {
            names.push(self.name()?);
        }
        let values = if self.skip_mark("=")? { self.expressions()? } else { Vec::new() };
        let locals = names.into_iter().map(|name| self.declare(name)).collect();
        Ok(Statement::Declare(line, locals, values))
    }

    fn assignment_or_call(&mut self) -> Read<Statement<'t>> {
        let first = self.suffixed()?;
        if !self.is_mark("=") && !self.is_mark(",") {
            let is_call = matches!(first.kind, Kind::Call(..) | Kind::Method(..));
            return if is_call { Ok(Statement::Call(first)) } else { self.fails() };
        }
        let mut targets = vec![first];
        while self.skip_mark(",")? {
            targets.push(self.suffixed()?);
        }
        self.expect_mark("=")?;
        let is_target = |target: &Expression<'_>| {
            matches!(target.kind, Kind::Local(_) | Kind::Global(_) | Kind::Index(..))
        };
        if !targets.iter().all(is_target) {
            return self.fails();
        }
        let values = self.expressions()?;
        Ok(Statement::Assign(targets, values))
    }

    fn expressions(&mut self) -> Read<Vec<Expression<'t>>> {
        let mut expressions = vec![self.expression()?];
        while self.skip_mark(",")? {
            expressions.push(self.expression()?);
        }
        Ok(expressions)
    }

    fn expression(&mut self) -> Read<Expression<'t>> {
        self.above(0)
    }

    /// An expression of operators that bind tighter than this.
    fn above(&mut self, power: u8) -> Read<Expression<'t>> {
        self.deeper(|parser| parser.operators(power))
    }

    fn operators(&mut self, power: u8) -> Read<Expression<'t>> {
        let (line, depth) = (self.line, self.depth);
        let is_unary = self.is_mark("-") || self.is_mark("#") || self.is_keyword(Keyword::Not);
        let mut left = if is_unary {
            self.take()?;
            let operand = self.above(UNARY_POWER)?;
            Expression { line, kind: Kind::Operator(vec![operand]) }
        } else {
            self.simple()?
        };
        while let Some((left_power, right_power)) = powers(&self.token)
            && left_power > power
        {
            let operator = self.take()?;
            let right = self.above(right_power)?;
            let kind = match operator {
                Token::Keyword(Keyword::And) => Kind::And(Box::new(left), Box::new(right)),
                Token::Keyword(_) => Kind::Or(Box::new(left), Box::new(right)),
                // Which operator does not matter, so what is many times as long is not many times as deep.
                _ => match left.kind {
                    Kind::Operator(mut operands) => {
                        operands.push(right);
                        Kind::Operator(operands)
                    }
                    _ => Kind::Operator(vec![left, right]),
                },
            };
            if matches!(kind, Kind::And(..) | Kind::Or(..)) {
                self.count_deeper()?;
            }
            left = Expression { line, kind };
        }
        self.depth = depth;
        Ok(left)
    }

    fn simple(&mut self) -> Read<Expression<'t>> {
        let line = self.line;
        let kind = match &self.token {
            // As an argument of a command it is its digits.
            Token::Number(digits) if is_short_integer(digits) => Kind::Text((*digits).into()),
            Token::Number(_) => Kind::Number,
            Token::Text(text) => Kind::Text(text.clone()),
            Token::Keyword(Keyword::Nil) => Kind::Nil,
            Token::Keyword(Keyword::True) => Kind::True,
            Token::Keyword(Keyword::False) => Kind::False,
            Token::Mark("...") => Kind::Rest,
            Token::Mark("{") => return self.table(),
            Token::Keyword(Keyword::Function) => {
                self.take()?;
                let kind = self.function(false)?;
                return Ok(Expression { line, kind });
            }
            _ => return self.suffixed(),
        };
        self.take()?;
        Ok(Expression { line, kind })
    }

    /// A name or something in parentheses, with whatever follows: fields, indexes, calls.
    fn suffixed(&mut self) -> Read<Expression<'t>> {
        let (line, depth) = (self.line, self.depth);
        let mut found = if self.skip_mark("(")? {
            let inner = self.expression()?;
            self.expect_mark(")")?;
            Expression { line, kind: Kind::One(Box::new(inner)) }
        } else {
            let name = self.name()?;
            Expression { line, kind: self.variable(name) }
        };
        loop {
            let line = self.line;
            let kind = if self.skip_mark(".")? {
                let field = Expression { line, kind: Kind::Text(self.name()?.as_bytes().into()) };
                Kind::Index(Box::new(found), Box::new(field))
            } else if self.skip_mark("[")? {
                let index = self.expression()?;
                self.expect_mark("]")?;
                Kind::Index(Box::new(found), Box::new(index))
            } else if self.skip_mark(":")? {
                self.name()?;
                let arguments = self.arguments()?;
                Kind::Method(Box::new(found), arguments)
            } else if self.is_mark("(") || self.is_mark("{") || matches!(self.token, Token::Text(_)) {
                let arguments = self.arguments()?;
                Kind::Call(Box::new(found), arguments)
            } else {
                self.depth = depth;
                return Ok(found);
            };
            self.count_deeper()?;
            found = Expression { line, kind };
        }
    }

    fn arguments(&mut self) -> Read<Vec<Expression<'t>>> {
        if self.is_mark("{") || matches!(self.token, Token::Text(_)) {
            return self.simple().map(|argument| vec![argument]);
        }
        self.expect_mark("(")?;
        if self.skip_mark(")")? {
            return Ok(Vec::new());
        }
        let arguments = self.expressions()?;
        self.expect_mark(")")?;
        Ok(arguments)
    }

    fn table(&mut self) -> Read<Expression<'t>> {
        let line = self.line;
        self.expect_mark("{")?;
        let mut fields = Vec::new();
        while !self.is_mark("}") {
            fields.push(self.field()?);
            if !self.skip_mark(",")? && !self.skip_mark(";")? {
                break;
            }
        }
        self.expect_mark("}")?;
        Ok(Expression { line, kind: Kind::Table(fields) })
    }

    fn field(&mut self) -> Read<Field<'t>> {
        let line = self.line;
        if self.skip_mark("[")? {
            let key = self.expression()?;
            self.expect_mark("]")?;
            self.expect_mark("=")?;
            return Ok(Field { key: Some(key), value: self.expression()? });
        }
        if let Token::Name(name) = self.token
            && self.lexer.clone().next()? == Token::Mark("=")
        {
            self.take()?;
            self.take()?;
            let key = Expression { line, kind: Kind::Text(name.as_bytes().into()) };
            return Ok(Field { key: Some(key), value: self.expression()? });
        }
        Ok(Field { key: None, value: self.expression()? })
    }

    /// What follows `function` and its name.
    fn function(&mut self, has_self: bool) -> Read<Kind<'t>> {
        let (line, number) = (self.line, self.functions);
        self.functions += 1;
        let visible = self.scopes.len();
        let mut parameters = Vec::new();
        if has_self {
            parameters.push(self.declare("self"));
        }
        self.expect_mark("(")?;
        let mut is_next = !self.is_mark(")");
        while is_next && !self.skip_mark("...")? {
            let name = self.name()?;
            parameters.push(self.declare(name));
            is_next = self.skip_mark(",")?;
        }
        self.expect_mark(")")?;
        let body = self.block()?;
        self.expect_keyword(Keyword::End)?;
        self.scopes.truncate(visible);
        Ok(Kind::Function(Box::new(Function { number, line, parameters, body })))
    }
}

/// How tightly an operator of two operands binds to its left and to its right; what binds tighter to the left goes together from the right.
fn powers(token: &Token<'_>) -> Option<(u8, u8)> {
    Some(match token {
        Token::Keyword(Keyword::Or) => (1, 2),
        Token::Keyword(Keyword::And) => (3, 4),
        Token::Mark("<" | ">" | "<=" | ">=" | "~=" | "==") => (5, 6),
        Token::Mark("..") => (10, 9),
        Token::Mark("+" | "-") => (11, 12),
        Token::Mark("*" | "/" | "%") => (13, 14),
        Token::Mark("^") => (18, 17),
        _ => return None,
    })
}

/// Whether these are the digits of an integer that Lua writes as it was read.
fn is_short_integer(digits: &[u8]) -> bool {
    digits.len() <= 9 && digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits[0] != b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line_of_fault(text: &str) -> Option<u32> {
        parse(text.as_bytes()).err().map(|fault| fault.line)
    }

    #[test]
    fn the_whole_grammar_is_read() {
        let text = "
            local a <const> = 1";
        assert_eq!(line_of_fault(text), Some(2), "an attribute is Lua 5.4's");
        let text = "
            local a, b = 1, 'x' .. 2 ^ -3
            local function f(x, ...) return x, ... end
            function t.a.b:c(y) self.z = y end
            t = { 1, 2; x = 3, ['y'] = 4, f(), }
            for i = 1, 10, 2 do if i > 5 then break end end
            for k, v in pairs(t) do t[k] = nil; v() end
            while not a do a = a and b or false end
            repeat local done = f 'x' until done == true
            do f { 1 } end
            if a then return elseif b then a = 1 else b = 2 end
            t.x.y[1]:m(1, 2):n 'x'
            (f)(1)
            return #t, -a, function(...) return ... end";
        assert_eq!(line_of_fault(text), None);
    }

    #[test]
    fn faults_are_told_with_their_line() {
        assert_eq!(line_of_fault("x = \n ="), Some(2));
        assert_eq!(line_of_fault("f(1"), Some(1));
        assert_eq!(line_of_fault("a"), Some(1));
        assert_eq!(line_of_fault("return 1 x = 2"), Some(1));
        assert_eq!(line_of_fault("f() = 1"), Some(1));
        assert_eq!(line_of_fault("end"), Some(1));
        assert!(line_of_fault(&"(".repeat(1_000)).is_some());
        assert!(line_of_fault(&"{".repeat(100_000)).is_some());
        assert!(line_of_fault(&"do ".repeat(100_000)).is_some());
        assert!(line_of_fault(&format!("x = {}1", "- ".repeat(100_000))).is_some());
        assert!(line_of_fault(&format!("x = f{}", "()".repeat(100_000))).is_some());
        assert!(line_of_fault(&format!("x = 1{}", " or 1".repeat(100_000))).is_some());
        assert!(line_of_fault(&format!("x = 1{}", " .. 1".repeat(100_000))).is_some());
        assert_eq!(line_of_fault(&format!("x = 1{}", " + 1".repeat(100_000))), None);
    }

    #[test]
    fn operators_bind_as_in_lua() {
        let chunk = parse(b"x = a or b and c").unwrap();
        let [Statement::Assign(_, values)] = &chunk.body[..] else { panic!("{chunk:?}") };
        let Kind::Or(_, right) = &values[0].kind else { panic!("{chunk:?}") };
        assert!(matches!(right.kind, Kind::And(..)));
        let chunk = parse(b"x = not a == b and c").unwrap();
        let [Statement::Assign(_, values)] = &chunk.body[..] else { panic!("{chunk:?}") };
        let Kind::And(left, _) = &values[0].kind else { panic!("{chunk:?}") };
        assert!(matches!(&left.kind, Kind::Operator(_)));
    }

    #[test]
    fn each_declaration_is_a_variable_of_its_own() {
        let chunk = parse(b"local a = 1 do local a = a end a = 2 b = 3").unwrap();
        let [
            Statement::Declare(_, outer, _),
            Statement::Blocks(_, blocks),
            Statement::Assign(targets, _),
            Statement::Assign(global, _),
        ] = &chunk.body[..]
        else {
            panic!("{chunk:?}")
        };
        let [Statement::Declare(_, inner, values)] = &blocks[0][..] else { panic!("{chunk:?}") };
        assert_ne!(outer, inner);
        assert_eq!(values[0].kind, Kind::Local(outer[0]), "a value is read before its name is declared");
        assert_eq!((&targets[0].kind, &global[0].kind), (&Kind::Local(outer[0]), &Kind::Global("b")));
    }
}
