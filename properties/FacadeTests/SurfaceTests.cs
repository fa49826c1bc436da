using System.Reflection;
using Xunit;

namespace ValueFlow.FacadeTests;

/// <summary>No F# type, and no type of the core or of FsCheck, shows in what C# sees.</summary>
public class SurfaceTests
{
    private static readonly string[] Hidden = ["FSharp.Core", "FsCheck", "ValueFlow.Foundations", "ValueFlow.Values", "ValueFlow.Returns", "ValueFlow.Dynamics", "ValueFlow.Flows", "ValueFlow.Learning", "ValueFlow.Stages"];

    private static readonly Type[] LawsForCSharp =
    [
        typeof(Laws.OperatorLaws),
        typeof(Laws.Report),
        typeof(Laws.LawOptions),
        typeof(Laws.Verdict),
        typeof(Laws.LawRefutedException),
    ];

    private static IEnumerable<Type> Parts(Type type)
    {
        if (type.HasElementType)
        {
            return Parts(type.GetElementType()!);
        }

        return type.IsGenericType ? type.GetGenericArguments().SelectMany(Parts).Append(type.GetGenericTypeDefinition()) : [type];
    }

    private static IEnumerable<(string Where, Type Type)> Surface(Type type, bool attributes)
    {
        const BindingFlags all = BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;
        static bool Visible(MethodBase method) => method.IsPublic || method.IsFamily || method.IsFamilyOrAssembly;
        if (type.BaseType is not null)
        {
            yield return ($"{type.Name} base", type.BaseType);
        }

        foreach (var bound in type.GetGenericArguments().Where(part => part.IsGenericParameter).SelectMany(part => part.GetGenericParameterConstraints()))
        {
            yield return ($"{type.Name} constraint", bound);
        }

        foreach (var implemented in type.GetInterfaces())
        {
            yield return ($"{type.Name} interface", implemented);
        }

        // Accessors of properties and events are among the methods; nested types among the exported ones.
        var methods = type.GetMethods(all).Cast<MethodBase>().Concat(type.GetConstructors(all)).Where(Visible).ToArray();
        foreach (var method in methods)
        {
            foreach (var parameter in method.GetParameters())
            {
                yield return ($"{type.Name}.{method.Name}({parameter.Name})", parameter.ParameterType);
            }

            if (method is MethodInfo { ReturnType: var result })
            {
                yield return ($"{type.Name}.{method.Name}", result);
                foreach (var bound in method.GetGenericArguments().SelectMany(part => part.GetGenericParameterConstraints()))
                {
                    yield return ($"{type.Name}.{method.Name} constraint", bound);
                }
            }
        }

        var fields = type.GetFields(all).Where(field => field.IsPublic || field.IsFamily || field.IsFamilyOrAssembly).ToArray();
        foreach (var field in fields)
        {
            yield return ($"{type.Name}.{field.Name}", field.FieldType);
        }

        if (attributes)
        {
            var members = methods.Concat<MemberInfo>(fields).Concat(type.GetProperties(all)).Concat(type.GetEvents(all)).Append(type);
            foreach (var data in members.SelectMany(member => member.GetCustomAttributesData()))
            {
                yield return ($"{type.Name} attribute", data.AttributeType);
            }
        }
    }

    private static string[] Leaks(IEnumerable<Type> types, bool attributes, params string[] hidden) =>
        [
            .. from type in types
            from entry in Surface(type, attributes)
            from part in Parts(entry.Type)
            where hidden.Contains(part.Assembly.GetName().Name)
            select $"{entry.Where}: {part}",
        ];

    [Fact]
    public void NoTypeOfTheCoreShows()
    {
        var types = typeof(DecisionModel).Assembly.GetExportedTypes();
        Assert.All(types, type => Assert.Equal("ValueFlow", type.Namespace));
        Assert.Empty(Leaks(types, true, Hidden));
        Assert.True(types.Length >= 25, $"{types.Length} types");
    }

    [Fact]
    public void TensorsShowOnlyWhereTheyAreAskedFor() =>
        Assert.Empty(Leaks(typeof(DecisionModel).Assembly.GetExportedTypes().Where(type => type != typeof(TensorOperator) && type != typeof(ReturnLoss)), true, "TorchSharp"));

    [Fact]
    public void NoTypeOfFsCheckShowsInTheLaws() => Assert.Empty(Leaks(typeof(Laws.Report).Assembly.GetExportedTypes(), false, "FsCheck"));

    // Attributes are left out: the F# compiler marks what it compiled.
    [Fact]
    public void TheLawsForCSharpShowNoFSharp() => Assert.Empty(Leaks(LawsForCSharp, false, Hidden));

    [Fact]
    public void TheTestFindsWhatFSharpShows()
    {
        Assert.NotEmpty(Leaks([typeof(ShowsFSharp)], false, Hidden));
        Assert.NotEmpty(Leaks([typeof(Laws.Trial)], false, Hidden));
    }

    public class ShowsFSharp
    {
        public event Action<List<Microsoft.FSharp.Core.FSharpOption<int>[]>>? Happened;

        protected void Happen() => Happened?.Invoke([]);
    }
}
