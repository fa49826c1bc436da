using Microsoft.FSharp.Collections;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>Collects the states and edges of an automaton, by name and in any order, and freezes them. The state that is named first is where it starts.</summary>
public sealed class AutomatonBuilder
{
    private readonly Dictionary<string, int> states = [];
    private readonly List<string> accepting = [];
    private readonly List<(string From, Guard Guard, string To)> edges = [];
    private readonly List<(string From, string To)> jumps = [];

    /// <summary>Adds an edge: in <paramref name="from"/>, when a state is read that carries all labels that are needed and none that are forbidden, the automaton goes to
    /// <paramref name="to"/>. Edges of a state are tried in the order in which they were added; where none fits the automaton rejects for ever.</summary>
    public AutomatonBuilder Edge(string from, string to, IReadOnlyList<string>? needs = null, IReadOnlyList<string>? forbids = null)
    {
        Number(from, nameof(from));
        Number(to, nameof(to));
        edges.Add((from, new(SetModule.OfSeq(needs ?? []), SetModule.OfSeq(forbids ?? [])), to));
        return this;
    }

    /// <summary>Adds a jump: in <paramref name="from"/> whoever decides may move the automaton to <paramref name="to"/>, without a step of the process.</summary>
    public AutomatonBuilder Jump(string from, string to)
    {
        Number(from, nameof(from));
        Number(to, nameof(to));
        jumps.Add((from, to));
        return this;
    }

    /// <summary>Declares a state accepting: the automaton accepts what leads it to accepting states again and again, for ever.</summary>
    public AutomatonBuilder Accepting(string state)
    {
        Number(state, nameof(state));
        accepting.Add(state);
        return this;
    }

    /// <summary>The automaton.</summary>
    /// <exception cref="ArgumentException">No state was named.</exception>
    public Automaton Build() =>
        new(
            Core.Values.Automaton.Create(
                ListModule.OfSeq(states.Keys),
                ListModule.OfSeq(accepting.Select(state => states[state])),
                ListModule.OfSeq(edges.Select(edge => Tuple.Create(states[edge.From], edge.Guard, states[edge.To]))),
                ListModule.OfSeq(jumps.Select(jump => Tuple.Create(states[jump.From], states[jump.To])))
            )
        );

    private void Number(string name, string parameter)
    {
        ArgumentException.ThrowIfNullOrEmpty(name, parameter);
        states.TryAdd(name, states.Count);
    }
}

/// <summary>An automaton that reads the labels of the states a process visits, and accepts if it comes to its accepting states again and again: a requirement on whole runs.</summary>
public sealed class Automaton
{
    internal Automaton(Core.Values.Automaton inner)
    {
        Inner = inner;
        States = [.. Enumerable.Range(0, inner.StateCount).Select(inner.Name)];
    }

    internal Core.Values.Automaton Inner { get; }

    /// <summary>The names of the states; the last one is the sink in which it rejects for ever.</summary>
    public IReadOnlyList<string> States { get; }

    /// <summary>Visit every goal again and again, in turn, and never a state with an avoided label: GF goal and ... and G not avoided.</summary>
    /// <exception cref="ArgumentException">No goal is given.</exception>
    public static Automaton Patrol(IReadOnlyList<string> goals, IReadOnlyList<string>? avoided = null)
    {
        ArgumentNullException.ThrowIfNull(goals);
        return new(AutomatonModule.patrol(ListModule.OfSeq(goals), ListModule.OfSeq(avoided ?? [])));
    }

    /// <summary>From some step on stay in states with a label, and never visit a state with an avoided one: FG held and G not avoided.</summary>
    public static Automaton Settle(string held, IReadOnlyList<string>? avoided = null)
    {
        ArgumentException.ThrowIfNullOrEmpty(held);
        return new(AutomatonModule.settle(held, ListModule.OfSeq(avoided ?? [])));
    }
}
